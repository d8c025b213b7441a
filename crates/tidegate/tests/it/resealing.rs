//! Credentials are sealed anew for nodes: what was changed meanwhile stays changed, and one that is damaged is in nobody's way.

use std::sync::Arc;

use serde_json::json;
use tidegate_testkit::installation::Installation;

use crate::rotation::rotations;
use crate::support::{install, nodes, seconds, until};

/// Changes a credential at the moment when somebody else waits for it, having read it before.
const DISABLE_UNDER_A_WAITING_READER: &str = "DO $$ BEGIN
    PERFORM FROM config_resources WHERE kind = 'credential' AND content ->> 'name' = 'own' FOR UPDATE;
    FOR turn IN 1..600 LOOP
        EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted);
        PERFORM pg_sleep(0.1);
    END LOOP;
    ASSERT EXISTS (SELECT FROM pg_locks WHERE NOT granted), 'nobody came';
    UPDATE config_resources SET content = jsonb_set(content, '{enabled}', 'false')
    WHERE kind = 'credential' AND content ->> 'name' = 'own';
END $$";

async fn with_a_credential() -> Installation {
    let installation = install(nodes(1)).await;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    installation.admin.post("/credentials?wait=fleet", &own).await.unwrap();
    installation
}

async fn rotate(installation: &Installation) {
    let path = "/encryption/rotations?organization=system";
    installation.admin.post(path, &json!({"kind": "pool_key"})).await.unwrap();
}

/// What the database says of the credentials of this name.
fn says(installation: &Installation, what: &str, name: &str) -> Vec<Vec<String>> {
    let query = format!(
        "SELECT {what} FROM config_resources WHERE kind = 'credential' AND content ->> 'name' = '{name}'"
    );
    installation.query(&query).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_disabled_while_it_gets_a_new_seal_stays_disabled() {
    let installation = Arc::new(with_a_credential().await);
    let database = Arc::clone(&installation);
    let change = tokio::task::spawn_blocking(move || database.sql(DISABLE_UNDER_A_WAITING_READER));
    let locked = "SELECT count(*)::text FROM pg_locks WHERE relation = 'config_resources'::regclass AND mode = 'RowShareLock'";
    until("the change has begun", seconds(30), async || installation.query(locked).unwrap() != [["0"]]).await;
    rotate(&installation).await;
    until("it is done", seconds(60), async || rotations(&installation).await == (1, 1)).await;
    change.await.unwrap().unwrap();
    let seal =
        says(&installation, "content -> 'sealed' -> 0 ->> 'pool_key_version', content ->> 'enabled'", "own");
    assert_eq!(seal, [["2", "false"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_whose_secret_is_damaged_keeps_no_other_organization_from_its_new_seal() {
    let installation = with_a_credential().await;
    let body = json!({"slug": "other", "name": "other"});
    let other = installation.admin.post("/organizations", &body).await.unwrap();
    let theirs = json!({"name": "theirs", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    let path = format!("/credentials?organization={}", other["id"].as_str().unwrap());
    installation.admin.post(&path, &theirs).await.unwrap();
    let damage = "UPDATE credentials SET ciphertext = set_byte(ciphertext, 20, get_byte(ciphertext, 20) # 1) WHERE name = 'own'";
    installation.sql(damage).unwrap();
    rotate(&installation).await;
    until("the others have their new seal, and it is said who is left", seconds(60), async || {
        let sealed = says(&installation, "content -> 'sealed' -> 0 ->> 'pool_key_version'", "theirs");
        let problem = installation.query("SELECT coalesce(problem, '') FROM key_rotations").unwrap();
        sealed == [["2"]] && problem[0][0].contains(&installation.organization)
    })
    .await;
    let kept = installation.query("SELECT count(*)::text FROM pool_keys WHERE pool = 'default'").unwrap();
    assert_eq!(kept, [["2"]], "the old key is still needed");
}
