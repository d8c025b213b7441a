//! Providers that fail: the next one answers, and when none does, the caller is told in its dialect.

use serde_json::{Value, json};

use crate::support::{Ask, apps, bill, charge, install, nodes, seconds, until};

/// The ways in which a provider fails before its first byte.
fn failures() -> [Value; 4] {
    [
        json!({"status": 500}),
        json!({"status": 429, "headers": {"retry-after": "1"}}),
        json!({"cut_after_bytes": 0, "ending": "reset", "bill_after_abort": false}),
        json!({"cut_after_bytes": 0, "ending": "close", "bill_after_abort": false}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_provider_fails_first_the_other_one_answers() {
    let installation = install(nodes(1)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    for failing in ["sim-openai", "sim-anthropic"] {
        for failure in failures() {
            installation.script(json!([{"when": {"provider": failing}, "then": failure}])).await.unwrap();
            for ask in Ask::all("Hello") {
                app.expect(&ask, 200).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_both_fail_the_caller_gets_the_providers_class_of_error_in_its_own_dialect() {
    let installation = install(nodes(1)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("app", "1", json!({"key": id})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    // Status, and the type in each dialect.
    let table = [
        (500, "internal_server_error", "api_error"),
        (429, "rate_limit_exceeded", "rate_limit_error"),
        (400, "invalid_request_error", "invalid_request_error"),
    ];
    for (status, chat, messages) in table {
        installation.script(json!([{"then": {"status": status}}])).await.unwrap();
        for ask in Ask::all("Hello") {
            let reply = app.expect(&ask, status).await;
            let error = &reply.json()["error"];
            let kind = error["type"].as_str().unwrap_or_default();
            assert!(error["message"].is_string(), "{}", reply.text);
            // A provider of the same dialect is passed on in its own words.
            let own = ["server_error", "requests", "api_error", "rate_limit_error", "invalid_request_error"];
            let expected = if ask.messages { messages } else { chat };
            assert!(kind == expected || own.contains(&kind), "{status} {ask:?}: {}", reply.text);
            assert_eq!(
                ask.messages,
                reply.json()["type"] == "error",
                "in the caller's dialect: {}",
                reply.text
            );
        }
    }
    let settled = || async {
        let admin = &installation.admin;
        charge(admin).await == bill(&installation).await && bill(&installation).await == 0
    };
    until("errors cost nothing", seconds(10), settled).await;
}
