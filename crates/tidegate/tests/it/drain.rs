//! A node that starts and a node that ends.

use reqwest::Response;
use serde_json::{Value, json};
use tidegate_testkit::installation::{Installation, Shape};

use crate::support::{App, Ask, apps, bill, calls, charge, client, install, nano, nodes, seconds, until};

/// Status of a node's readiness; 0 when nobody answers.
async fn readiness(url: &str) -> u16 {
    let answer = client().get(format!("{url}/readyz")).timeout(seconds(1)).send().await;
    answer.map_or(0, |answer| answer.status().as_u16())
}

fn metrics(installation: &Installation, node: usize) -> String {
    installation.nodes[node].url("metrics on ").unwrap()
}

/// A stream of so many tokens, 50 ms apart, whose first event has come.
async fn slow_stream(installation: &Installation, app: &App, tokens: u64) -> Response {
    let rule = json!([{"then": {"output_tokens": tokens, "chunk_delay_ms": 50, "hidden_reasoning": false}}]);
    installation.script(rule).await.unwrap();
    let mut answer = app.request(&Ask::chat("Go on").at_most(10_000).streaming()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.chunk().await.unwrap().expect("a first event");
    answer
}

/// The rest of a stream; an error when the connection breaks.
async fn rest(mut answer: Response) -> reqwest::Result<String> {
    let mut text = String::new();
    while let Some(part) = answer.chunk().await? {
        text.push_str(&String::from_utf8_lossy(&part));
    }
    Ok(text)
}

async fn assert_settled(installation: &Installation, budget: &str) -> Value {
    until("the call is on the books", seconds(15), || async { calls(&installation.admin).await.len() == 1 })
        .await;
    let spend = installation.admin.get(&format!("/budgets/{budget}")).await.unwrap()["spend"].clone();
    let (spent, unresolved) = (nano(&spend["spent"]), nano(&spend["unresolved"]));
    let billed = bill(installation).await;
    assert!(billed <= spent + unresolved && spent <= billed, "bill {billed}: {spend}");
    calls(&installation.admin).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_told_to_end_finishes_its_streams_and_is_not_ready_meanwhile() {
    let mut installation = install(nodes(1)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let budget = installation.budget("app", "1", json!({"key": id})).await.unwrap();
    let (app, metrics) = (apps(&installation, &key).remove(0), metrics(&installation, 0));
    assert_eq!(readiness(&metrics).await, 200);
    let stream = slow_stream(&installation, &app, 120).await;
    installation.nodes[0].signal("TERM");
    let (text, ()) = tokio::join!(rest(stream), async {
        until("the draining node is not ready", seconds(2), || async { readiness(&metrics).await == 503 })
            .await;
    });
    let text = text.unwrap();
    assert!(text.contains("data: [DONE]"), "{text}");
    assert!(!text.contains("\"error\""), "{text}");
    assert!(installation.nodes[0].wait(seconds(10)).await.unwrap(), "it ends well");
    let call = assert_settled(&installation, &budget).await;
    assert_eq!(call["outcome"], "answered");
    assert_eq!(charge(&installation.admin).await, bill(&installation).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_streams_longer_than_the_drain_time_ends_with_an_error_and_is_settled() {
    let mut installation = install(Shape { drain_timeout_seconds: 2, ..nodes(1) }).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let budget = installation.budget("app", "1", json!({"key": id})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    let stream = slow_stream(&installation, &app, 2_000).await;
    installation.nodes[0].signal("TERM");
    let text = rest(stream).await.unwrap();
    assert!(text.contains("\"error\""), "{text}");
    assert!(!text.contains("[DONE]"), "never a fake end: {text}");
    assert!(installation.nodes[0].wait(seconds(15)).await.unwrap(), "it ends well");
    let call = assert_settled(&installation, &budget).await;
    assert_eq!(call["outcome"], "broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_not_ready_before_its_first_snapshot_and_serves_from_its_disk_afterwards() {
    let mut installation = install(nodes(1)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    installation.control_planes[0].kill();

    // With what it has on disk it serves without the control plane.
    installation.restart_node(0).await.unwrap();
    apps(&installation, &key)[0].expect(&Ask::chat("Hello"), 200).await;

    // Without a copy it waits, and says so.
    installation.nodes[0].kill();
    std::fs::remove_dir_all(installation.folder().join("node-0-state/config")).unwrap();
    installation.start_node(0).unwrap();
    let said = || async { installation.nodes[0].url("metrics on ").is_ok() };
    until("it listens", seconds(10), said).await;
    let metrics = metrics(&installation, 0);
    until("it says that it is not ready", seconds(10), || async { readiness(&metrics).await == 503 }).await;
    installation.restart_control_plane(0).await.unwrap();
    until("it is ready", seconds(20), || async { readiness(&metrics).await == 200 }).await;
    apps(&installation, &key)[0].expect(&Ask::chat("Hello"), 200).await;
}
