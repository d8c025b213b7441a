//! What one node learns of a provider, the others of its pool heed; what was planned and tried is told.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{Ask, apps, client, install, nodes, seconds, until};

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

/// `last_failure` of the system credential of a provider.
async fn last_failure(installation: &Installation, provider: &str) -> Value {
    let page = installation.admin.get("/credentials?scope=system").await.unwrap();
    let found = page["data"].as_array().unwrap().iter().find(|row| row["provider"] == provider);
    let id = found.unwrap()["id"].as_str().unwrap().to_owned();
    let one = installation.admin.get(&format!("/credentials/{id}")).await.unwrap();
    one["last_failure"].clone()
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
    assert_eq!(standings(&found), [("sim-openai", "cooling"), ("sim-anthropic", "fine")], "{found}");
    assert_eq!(attempts(&found), [(200, "completed".to_owned())], "{found}");

    // The caller reads the same of its own call.
    let url = format!("{}/v1/generation?id={heeded}", installation.gateway(1).unwrap());
    let told: Value = client().get(url).bearer_auth(&key).send().await.unwrap().json().await.unwrap();
    let routing = &told["data"]["routing"];
    assert_eq!(routing["candidates"][0]["standing"], "cooling", "{told}");
    assert_eq!(routing["attempts"][0]["provider"], "sim-anthropic", "{told}");
    assert_eq!(routing["attempts"][0]["credentialType"], "system", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_not_accepted_is_shown_skipped_and_told() {
    let installation = install(nodes(2)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    assert_eq!(last_failure(&installation, "sim-openai").await, Value::Null);
    let refused = json!({"status": 401});
    installation.script(json!([{"when": {"provider": "sim-openai"}, "then": refused}])).await.unwrap();
    let asked = record(&installation, apps[0].expect(&Ask::chat("Hello"), 200).await.id()).await;
    assert_eq!(attempts(&asked)[0], (401, "refused".to_owned()), "{asked}");
    let failure = last_failure(&installation, "sim-openai").await;
    assert_eq!((&failure["status"], &failure["count"]), (&json!(401), &json!(1)), "{failure}");
    assert_eq!(failure["recovered_at"], Value::Null);
    assert_eq!(last_failure(&installation, "sim-anthropic").await, Value::Null);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let skipped = record(&installation, apps[1].expect(&Ask::chat("Hello"), 200).await.id()).await;
    assert_eq!(attempts(&skipped), [(200, "completed".to_owned())], "{skipped}");
    assert_eq!(standings(&skipped)[0], ("sim-openai", "cooling"), "{skipped}");
}
