//! What a later release wrote for one organization keeps no other one from what is due, and an operator sees who waits.

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::rotation::rotations;
use crate::support::{client, full, install, nodes, seconds, until};

/// Sets a field of an organization's stored resources of this kind.
fn set(installation: &Installation, kind: &str, organization: &str, field: &str, value: &str) {
    let change = format!(
        "UPDATE config_resources SET content = jsonb_set(content, '{{{field}}}', '{value}')
         WHERE kind = '{kind}' AND organization_id = (SELECT organization_id FROM organizations WHERE slug = '{organization}')"
    );
    installation.sql(&change).unwrap();
}

/// Another organization beside the first; its slug, and its id.
async fn other(installation: &Installation) -> (&'static str, String) {
    let body = json!({"slug": "other", "name": "other"});
    let made = installation.admin.post("/organizations", &body).await.unwrap();
    ("other", made["id"].as_str().unwrap().to_owned())
}

fn holds(installation: &Installation, what: &str) -> bool {
    installation.sql(&format!("DO $$ BEGIN ASSERT ({what}); END $$")).is_ok()
}

async fn problem(installation: &Installation) -> String {
    let all = installation.admin.get("/encryption/rotations?organization=system").await.unwrap();
    all["data"][0]["problem"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_organizations_credential_of_a_later_release_keeps_no_others_from_a_pools_new_key() {
    let installation = install(nodes(1)).await;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    installation.admin.post("/credentials?wait=fleet", &own).await.unwrap();
    let (slug, id) = other(&installation).await;
    installation.admin.post(&format!("/credentials?organization={id}"), &own).await.unwrap();
    let position = |of: &str, value: &str| set(&installation, "credential", of, "position", value);
    position("acme", "\"tomorrow\"");
    let path = "/encryption/rotations?organization=system";
    installation.admin.post(path, &json!({"kind": "pool_key"})).await.unwrap();
    until("it says who is left, and why", seconds(60), || async {
        let problem = problem(&installation).await;
        problem.contains("later release") && problem.contains(&installation.organization)
    })
    .await;
    // The other one's has its new seal, and what is left still opens with the old key.
    let sealed =
        "SELECT content -> 'sealed' -> 0 ->> 'pool_key_version' FROM config_resources r JOIN organizations o
         USING (organization_id) WHERE r.kind = 'credential' AND o.slug = 'other'";
    assert!(holds(&installation, &format!("({sealed}) = '2'")));
    assert!(holds(&installation, "(SELECT count(*) FROM pool_keys WHERE pool = 'default') = 2"));
    if !full() {
        return;
    }
    // While it is left, nobody else is looked at, and it is tried ever more rarely.
    position(slug, "\"tomorrow\"");
    until("it was tried again", seconds(60), || async {
        holds(
            &installation,
            "(SELECT tried >= 2 AND leased_until > now() + interval '7 s' FROM key_rotations)",
        )
    })
    .await;
    assert!(!problem(&installation).await.contains(&id), "only who was left is looked at");
    // Before the old key is forgotten everybody is.
    position("acme", "0");
    until("the other one is left", seconds(60), || async { problem(&installation).await.contains(&id) })
        .await;
    assert!(holds(&installation, "(SELECT count(*) FROM pool_keys WHERE pool = 'default') = 2"));
    position(slug, "0");
    until("it is done", seconds(60), || async { rotations(&installation).await == (1, 1) }).await;
    assert!(holds(&installation, "(SELECT count(*) FROM pool_keys WHERE pool = 'default') = 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_put_off_is_tried_at_once_by_a_control_plane_that_is_started() {
    let mut installation = install(nodes(1)).await;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    installation.admin.post("/credentials?wait=fleet", &own).await.unwrap();
    set(&installation, "credential", "acme", "position", "\"tomorrow\"");
    let path = "/encryption/rotations?organization=system";
    installation.admin.post(path, &json!({"kind": "pool_key"})).await.unwrap();
    // As it is at last, when it was found so again and again.
    let put_off = "UPDATE key_rotations SET leased_until = now() + interval '1 h', put_off_until = now() + interval '1 h'
         WHERE leased_until = put_off_until";
    until("it is put off for long", seconds(60), || async {
        installation.sql(put_off).unwrap();
        holds(&installation, "(SELECT leased_until > now() + interval '50 min' FROM key_rotations)")
    })
    .await;
    set(&installation, "credential", "acme", "position", "0");
    installation.restart_control_plane(0).await.unwrap();
    until("it is done", seconds(60), || async { rotations(&installation).await == (1, 1) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_passed_over_for_what_a_later_release_wrote_is_told_of_once_and_counted() {
    let installation = install(nodes(1)).await;
    let (slug, id) = other(&installation).await;
    let budget = json!({"name": "all", "limit": "1", "window": {"lifetime": true}, "enforcement": "soft",
        "count_past": true});
    for at in ["/budgets".to_owned(), format!("/budgets?organization={id}")] {
        installation.admin.post(&at, &budget).await.unwrap();
    }
    let url = format!("{}/metrics", installation.control_planes[0].url("metrics on ").unwrap());
    let counted = |count: u8| {
        let (url, line) = (url.clone(), format!("tidegate_organizations_passed_over {count}\n"));
        until("counted", seconds(60), move || {
            let (url, line) = (url.clone(), line.clone());
            async move { client().get(url).send().await.unwrap().text().await.unwrap().contains(&line) }
        })
    };
    let told = || -> Vec<Value> {
        let log = installation.control_planes[0].log();
        let lines = log.lines().filter(|line| line.contains("is passed over"));
        lines.map(|line| json!(line)).collect()
    };
    set(&installation, "budget", slug, "enforcement", "\"gentle\"");
    counted(1).await;
    set(&installation, "budget", "acme", "enforcement", "\"gentle\"");
    counted(2).await;
    // Rounds went by for both readings of the gauge.
    assert_eq!(told().iter().filter(|line| line.to_string().contains(&id)).count(), 1, "{:?}", told());
    assert_eq!(told().len(), 2, "{:?}", told());
    for organization in [slug, "acme"] {
        set(&installation, "budget", organization, "enforcement", "\"soft\"");
    }
    counted(0).await;
    // What no release could read is not said to wait for one.
    set(&installation, "organization", slug, "time_zone", "\"Nowhere\"");
    counted(1).await;
    let last = told().pop().unwrap().to_string();
    assert!(
        last.contains(&id) && last.contains("it is damaged") && !last.contains("later release"),
        "{last}"
    );
}
