//! A node that is killed under a call raises its alerts, and is no reason for any when it is back; a node that was told
//! to end raises none. It takes minutes, and is left to `TIDEGATE_FULL`.

use serde_json::json;
use tidegate_testkit::installation::Shape;

use super::{raised, rules, target};
use crate::support::{Ask, OwnBudget, Prometheus, apps, full, install, nodes, seconds, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_and_what_it_held_raise_their_alerts_and_one_that_was_told_to_end_does_not() {
    if !full() {
        return;
    }
    let shape = Shape { drain_lead_seconds: Some(5), grant_percent: Some(0), ..nodes(3) };
    let mut installation = install(shape).await;
    let (id, key) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("capped", "10", json!({"key": id})).await.unwrap();
    let apps = apps(&installation, &key);
    let slow = json!([{"when": {"contains": "slow"}, "then": {"latency_ms": 600_000}}]);
    installation.script(slow).await.unwrap();
    let targets = [
        target("tidegate-nodes", "node-0", &installation.nodes[0]),
        target("tidegate-control", "control-0", &installation.control_planes[0]),
    ];
    let prometheus = Prometheus::start(&targets, &rules(&[])).await;
    apps[0].expect(&Ask::chat("Hello"), 200).await;

    installation.nodes[2].signal("TERM");
    assert!(installation.nodes[2].wait(seconds(60)).await.unwrap(), "it ends in order");
    let app = apps[1].clone();
    let running = tokio::spawn(async move { app.call(&Ask::chat("a slow one")).await.is_err() });
    let held = || async {
        OwnBudget::of(&apps[0]).await.is_some_and(|budget| budget.held > 0)
            && !installation.query("SELECT 1 FROM open_attempts").unwrap().is_empty()
    };
    until("the call is under way, and in the books", seconds(20), held).await;
    installation.nodes[1].kill();
    assert!(running.await.unwrap(), "the caller saw its connection break");
    // The one that was told to end is silent for longer by now.
    raised(&prometheus, &apps[0], &[("TidegateNodeAway", "Nodes away: 1.")]).await;
    let firing = prometheus.alerts().await;
    assert_eq!(firing.keys().collect::<Vec<_>>(), ["TidegateNodeAway"], "{firing:?}");

    // The hour that its call might still have taken.
    installation.sql("UPDATE open_attempts SET deadline = now()").unwrap();
    let unresolved = [("TidegateHoldsUnresolved", "1 attempts ended with a node that has not come back")];
    raised(&prometheus, &apps[0], &unresolved).await;
    installation.restart_node(1).await.unwrap();
    let quiet = async || prometheus.alerts().await.is_empty();
    until("it is back, and nobody says otherwise", seconds(60), quiet).await;
    assert_eq!(prometheus.broken_rules().await, [serde_json::Value::Null; 0]);
}
