//! What one node learns of a provider, the others of its pool heed; what was planned and tried is told.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{Ask, apps, client, install, losing_redis, nodes, seconds, until};

/// The record of a call, when it has arrived.
async fn record(installation: &Installation, id: impl AsRef<str>) -> Value {
    let path = format!("/calls/{}", id.as_ref());
    until("the record arrives", seconds(10), || async { installation.admin.get(&path).await.is_ok() }).await;
    installation.admin.get(&path).await.unwrap()
}

fn standings(record: &Value) -> Vec<(&str, &str)> {
    let candidates = record["plan"]["candidates"].as_array().unwrap().iter();
    candidates.map(|c| (c["provider"].as_str().unwrap(), c["standing"].as_str().unwrap())).collect()
}

fn attempts(record: &Value) -> Vec<(u64, String)> {
    let attempts = record["attempts"].as_array().unwrap().iter();
    attempts
        .map(|a| (a["status"].as_u64().unwrap(), a["outcome"].as_str().unwrap_or("?").to_owned()))
        .collect()
}

/// The system credential of a provider, as it is shown.
async fn credential(installation: &Installation, provider: &str) -> Value {
    let page = installation.admin.get("/credentials?scope=system").await.unwrap();
    let found = page["data"].as_array().unwrap().iter().find(|row| row["provider"] == provider);
    let id = found.unwrap()["id"].as_str().unwrap().to_owned();
    installation.admin.get(&format!("/credentials/{id}")).await.unwrap()
}

/// When it was refused the last time.
async fn last_failure(installation: &Installation, provider: &str) -> Value {
    credential(installation, provider).await["last_failure"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_one_node_is_asked_for_the_other_keeps_within_a_second() {
    let installation = install(nodes(2)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    // Positive control: nobody is asked for a pause, and the other node goes to the first provider.
    let calm = record(&installation, apps[1].expect(&Ask::chat("Hello"), 200).await.id()).await;
    assert_eq!(standings(&calm), [("sim-openai", "fine"), ("sim-anthropic", "fine")], "{calm}");
    assert_eq!(attempts(&calm), [(200, "completed".to_owned())]);

    let busy = json!({"status": 429, "headers": {"retry-after": "60"}});
    installation.script(json!([{"when": {"provider": "sim-openai"}, "then": busy}])).await.unwrap();
    let asked = record(&installation, apps[0].expect(&Ask::chat("Hello"), 200).await.id()).await;
    assert_eq!(attempts(&asked), [(429, "refused".to_owned()), (200, "completed".to_owned())], "{asked}");
    // The promise is a second, whatever happens in it; had the other node asked earlier it would know by itself.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let heeded = apps[1].expect(&Ask::chat("Hello"), 200).await.id();
    let found = record(&installation, &heeded).await;
    assert_eq!(standings(&found), [("sim-anthropic", "fine"), ("sim-openai", "cooling")], "{found}");
    assert_eq!(found["plan"]["candidates"][1]["ejected"], true, "{found}");
    assert_eq!(attempts(&found), [(200, "completed".to_owned())], "{found}");

    // The caller reads the same of its own call.
    let url = format!("{}/v1/generation?id={heeded}", installation.gateway(1).unwrap());
    let told: Value = client().get(url).bearer_auth(&key).send().await.unwrap().json().await.unwrap();
    let routing = &told["data"]["routing"];
    assert_eq!(routing["candidates"][1]["standing"], "cooling", "{told}");
    assert_eq!(routing["candidates"][1]["ejected"], true, "{told}");
    assert_eq!(routing["attempts"][0]["provider"], "sim-anthropic", "{told}");
    assert_eq!(routing["attempts"][0]["credentialType"], "system", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_not_accepted_is_shown_skipped_and_told() {
    let installation = install(nodes(2)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    assert_eq!(last_failure(&installation, "sim-openai").await, Value::Null);
    assert!(credential(&installation, "sim-openai").await["last_used_at"].is_null());
    let refused = json!({"status": 401});
    installation.script(json!([{"when": {"provider": "sim-openai"}, "then": refused}])).await.unwrap();
    let asked = record(&installation, apps[0].expect(&Ask::chat("Hello"), 200).await.id()).await;
    assert_eq!(attempts(&asked)[0], (401, "refused".to_owned()), "{asked}");
    let failure = last_failure(&installation, "sim-openai").await;
    assert_eq!((&failure["status"], &failure["count"]), (&json!(401), &json!(1)), "{failure}");
    assert_eq!(failure["recovered_at"], Value::Null);
    assert_eq!(last_failure(&installation, "sim-anthropic").await, Value::Null);
    for used in ["sim-openai", "sim-anthropic"] {
        assert!(credential(&installation, used).await["last_used_at"].is_string(), "{used}");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let skipped = record(&installation, apps[1].expect(&Ask::chat("Hello"), 200).await.id()).await;
    assert_eq!(attempts(&skipped), [(200, "completed".to_owned())], "{skipped}");
    assert_eq!(standings(&skipped)[1], ("sim-openai", "cooling"), "{skipped}");
}

/// How many calls arrived at `sim-openai` since the script was set.
async fn openai_calls(installation: &Installation) -> usize {
    let journal = installation.simulator_get("/journal").await.unwrap();
    journal
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| call["path"].as_str().unwrap().starts_with("/openai/"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_pause_is_over_one_call_of_the_whole_fleet_probes() {
    let installation = install(nodes(3)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    let busy = json!({"status": 429, "headers": {"retry-after": "3"}});
    // All are asked while the probe is under way, on a busy machine too.
    let slow = json!({"latency_ms": 8_000});
    let rules = json!([
        {"when": {"provider": "sim-openai"}, "times": 1, "then": busy},
        {"when": {"provider": "sim-openai"}, "then": slow},
    ]);
    installation.script(rules).await.unwrap();
    apps[0].expect(&Ask::chat("Hello"), 200).await;
    let before = openai_calls(&installation).await;
    // The others' pauses last up to a tenth longer, so that they do not come back together.
    tokio::time::sleep(Duration::from_millis(3_600)).await;
    let all = apps.iter().flat_map(|app| [app; 6]);
    let records = join_all(all.map(async |app| app.expect(&Ask::chat("Hello"), 200).await.id().to_string()));
    let ids = records.await;
    assert_eq!(openai_calls(&installation).await - before, 1, "one probe, though three nodes were asked");
    let mut probes = 0;
    for id in &ids {
        let record = record(&installation, id).await;
        let (provider, standing) = standings(&record)[0];
        probes += usize::from(provider == "sim-openai");
        assert_eq!(standing == "cooling", provider == "sim-openai", "{record}");
    }
    assert_eq!(probes, 1);
    // It was answered: within a second every node goes there again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    installation.script(json!([])).await.unwrap();
    for app in &apps {
        let back = record(&installation, app.expect(&Ask::chat("Hello"), 200).await.id()).await;
        assert_eq!(standings(&back), [("sim-openai", "fine"), ("sim-anthropic", "fine")], "{back}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_node_heeds_what_it_sees_and_the_others_hear_again_when_it_is_back() {
    let mut installation = install(losing_redis(2)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    let mut redis = installation.redis.take().unwrap();
    let first = async |node: usize| {
        let record = record(&installation, apps[node].expect(&Ask::chat("Hello"), 200).await.id()).await;
        let (provider, standing) = standings(&record)[0];
        (provider.to_owned(), standing.to_owned(), attempts(&record).len())
    };
    let openai = |tries| ("sim-openai".to_owned(), "fine".to_owned(), tries);
    let other = || ("sim-anthropic".to_owned(), "fine".to_owned(), 1);
    assert_eq!(first(0).await, openai(1));
    redis.stop();
    let busy = json!({"status": 429, "headers": {"retry-after": "10"}});
    let paused = json!([{"when": {"provider": "sim-openai"}, "then": busy}]);
    installation.script(paused.clone()).await.unwrap();
    // Each is told by the provider itself, once, and heeds that.
    for node in [0, 1] {
        assert_eq!(first(node).await, openai(2), "node {node} knows of nothing");
        assert_eq!(first(node).await, other(), "node {node} heeds what it was told");
    }
    // Each probes for itself when the time is over: nobody can be asked.
    installation.script(json!([])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(11_500)).await;
    for node in [0, 1] {
        assert_eq!(
            first(node).await,
            ("sim-openai".to_owned(), "cooling".to_owned(), 1),
            "node {node} probes"
        );
        assert_eq!(first(node).await, openai(1), "node {node} is back");
    }
    redis.start_again().unwrap();
    until("what one node is told, the other hears again", seconds(20), || async {
        installation.script(paused.clone()).await.unwrap();
        let _asked = first(0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        installation.script(json!([])).await.unwrap();
        let heard = first(1).await == other();
        if !heard {
            tokio::time::sleep(Duration::from_secs(11)).await;
        }
        heard
    })
    .await;
}
