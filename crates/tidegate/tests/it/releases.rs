//! An older node under a newer control plane: what it does not know is named and stops nothing, and holds as soon as
//! the node is upgraded in place.
//!
//! `TIDEGATE_OLD=path/to/an/older/tidegate`; without it, the same story of a node that knows everything.

mod caps;
mod kills;

use std::path::PathBuf;

use serde_json::{Value, json};
use tidegate_testkit::installation::{Installation, Shape};

use crate::support::{App, Ask, binary, seconds, until};

async fn rejections(installation: &Installation) -> Vec<Value> {
    let fleet = installation.admin.get("/fleet").await.unwrap();
    let nodes = fleet["data"].as_array().unwrap();
    nodes.iter().flat_map(|node| node["rejections"].as_array().unwrap().clone()).collect()
}

/// Everything that there is of a kind gets another name: what an older release wrote can be written again.
async fn rename_all(installation: &Installation, kind: &str) -> usize {
    let page = installation.admin.get(kind).await.unwrap();
    let all = page["data"].as_array().unwrap();
    for one in all {
        let path = format!("{kind}/{}", one["id"].as_str().unwrap());
        let name = format!("{} again", one["name"].as_str().unwrap());
        installation.admin.patch(&path, &json!({"name": name})).await.unwrap();
    }
    all.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_node_does_not_know_is_named_and_holds_once_the_node_is_upgraded() {
    let older = std::env::var_os("TIDEGATE_OLD").map(PathBuf::from);
    let first = older.clone().unwrap_or_else(|| binary().to_owned());
    let shape =
        Shape { drain_lead_seconds: None, decision_timeout_ms: None, wave_seconds: None, ..Shape::default() };
    let mut installation =
        Installation::start(&first, shape).await.unwrap_or_else(|error| panic!("{error:#}"));
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("app", "10", json!({"key": id})).await.unwrap();
    let app = App::new(&installation.gateway(0).unwrap(), &key);
    app.expect(&Ask::chat("Hello"), 200).await;
    let policy = json!({"name": "all", "default_max_output_tokens": 200});
    installation.admin.post("/policies", &policy).await.unwrap();

    installation.change_binary(binary());
    installation.migrate().unwrap();
    installation.restart_control_plane(0).await.unwrap();
    for kind in ["/teams", "/keys", "/budgets", "/policies"] {
        assert!(rename_all(&installation, kind).await > 0, "{kind}");
    }
    let organizations = installation.admin.get("/organizations").await.unwrap();
    let path = format!("/organizations/{}", organizations["data"][0]["id"].as_str().unwrap());
    let rule = json!({"name": "ci", "team_id": installation.team, "issuer": "https://issuer.example",
        "audience": "https://platform.example", "claims": {"sub": ["ci"]}});
    let rule =
        installation.admin.post("/trust-rules", &rule).await.unwrap()["id"].as_str().unwrap().to_owned();
    let limits = json!({"limits": {"requests_per_minute": 3}});
    installation.admin.patch(&path, &limits).await.unwrap();
    // A change that it knows arrives as ever.
    let (_, second) = installation.key("second", &json!({})).await.unwrap();
    let named = async || rejections(&installation).await.iter().any(|one| one.to_string().contains(&rule));
    match &older {
        Some(_) => until("the rule is named", seconds(20), async || named().await).await,
        None => assert_eq!(rejections(&installation).await, [Value::Null; 0]),
    }
    let seconds_key = App::new(&installation.gateway(0).unwrap(), &second);
    seconds_key.expect(&Ask::chat("Hello"), 200).await;
    let log = installation.control_planes[0].log();
    assert!(!log.contains("a node's digest differs"), "nobody tries to heal what is as it should be:\n{log}");

    installation.nodes[0].signal("TERM");
    assert!(installation.nodes[0].wait(seconds(40)).await.unwrap(), "the node ends well");
    installation.restart_node(0).await.unwrap();
    until("nothing is rejected", seconds(20), async || rejections(&installation).await.is_empty()).await;
    // The limit that the older release could not keep, neither in force nor on its disk.
    until("the organization's limit holds", seconds(20), async || {
        app.call(&Ask::chat("Hello")).await.unwrap().status == 429
    })
    .await;
    assert_eq!(rejections(&installation).await, [Value::Null; 0]);
}
