//! Changes of the configuration reach every node, in order.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{App, Ask, apps, bill_lines, install, nodes, seconds, until, within};

/// Waits until every node answers a plain chat with this status.
async fn everywhere(apps: &[App], ask: &Ask, status: u16) {
    for app in apps {
        let ready = || async { app.call(ask).await.is_ok_and(|reply| reply.status == status) };
        until(&format!("{} answers {status}", app.base), seconds(5), ready).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_by_every_node_for_good_and_revocations_arrive_in_order() {
    let installation = install(nodes(3)).await;
    let (first, first_key) = installation.key("first", &json!({})).await.unwrap();
    let (second, second_key) = installation.key("second", &json!({})).await.unwrap();
    let (firsts, seconds_) = (apps(&installation, &first_key), apps(&installation, &second_key));
    for app in firsts.iter().chain(&seconds_) {
        app.expect(&Ask::chat("Hello"), 200).await;
    }
    installation.admin.delete(&format!("/keys/{first}")).await.unwrap();
    installation.admin.delete(&format!("/keys/{second}")).await.unwrap();
    // The promise is for every node that is connected.
    let latest = Instant::now() + seconds(5);
    for (first, second) in firsts.iter().zip(&seconds_) {
        let refused = || async { second.status().await == 401 };
        within("the second key is refused", latest.saturating_duration_since(Instant::now()), refused).await;
        // Whoever knows the second change knows the first one.
        let reply = first.expect(&Ask::chat("Hello"), 401).await;
        assert_eq!(reply.json()["error"]["type"], "authentication_error");
    }
    for app in firsts.iter().chain(&seconds_) {
        for ask in Ask::all("Hello") {
            app.expect(&ask, 401).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_pause_and_resume_and_what_was_refused_in_between_cost_nothing() {
    let installation = install(nodes(2)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    let hello = Ask::chat("Hello");
    everywhere(&apps, &hello, 200).await;
    installation.admin.post(&format!("/keys/{id}/pause?wait=fleet"), &json!({})).await.unwrap();
    let lines = bill_lines(&installation).await.len();
    for app in &apps {
        app.expect(&hello, 403).await;
    }
    assert_eq!(bill_lines(&installation).await.len(), lines);
    installation.admin.post(&format!("/keys/{id}/resume?wait=fleet"), &json!({})).await.unwrap();
    for app in &apps {
        app.expect(&hello, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lowered_budget_and_policies_bind_every_node() {
    let installation = install(nodes(2)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    let admin = &installation.admin;
    let hello = Ask::chat("Hello");

    let budget = installation.budget("app", "1.00", json!({"key": id})).await.unwrap();
    everywhere(&apps, &hello, 200).await;
    let change = |limit: &str| json!({"limit": limit});
    admin.patch(&format!("/budgets/{budget}?wait=fleet"), &change("0.000001")).await.unwrap();
    for app in &apps {
        app.expect(&hello, 402).await;
    }
    admin.patch(&format!("/budgets/{budget}?wait=fleet"), &change("1.00")).await.unwrap();
    everywhere(&apps, &hello, 200).await;

    installation.model("sim/other", "sim-openai", "other").await.unwrap();
    let policy = json!({"name": "few", "allow_models": ["sim/other"]});
    let few = admin.post("/policies?wait=fleet", &policy).await.unwrap();
    for app in &apps {
        app.expect(&hello, 403).await;
        app.expect(&hello.clone().model("sim/other"), 200).await;
    }
    admin.delete(&format!("/policies/{}", few["id"].as_str().unwrap())).await.unwrap();
    everywhere(&apps, &hello, 200).await;

    // Nobody has promised to keep nothing.
    let policy = json!({"name": "zdr", "privacy": {"zdr": "zdr"}});
    admin.post("/policies?wait=fleet", &policy).await.unwrap();
    for app in &apps {
        let reply = app.expect(&hello, 400).await;
        assert_eq!(reply.json()["error"]["type"], "no_providers_available", "{}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_shares_its_calls_by_weight() {
    let installation = install(nodes(2)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    installation.model("sim/other", "sim-openai", "other").await.unwrap();
    let route = json!({"name": "mix", "targets": [{"model": "sim/chat", "weight": 3}, {"model": "sim/other", "weight": 1}]});
    installation.admin.post("/routes?wait=fleet", &route).await.unwrap();
    let apps = apps(&installation, &key);
    for number in 0..80 {
        apps[number % 2].expect(&Ask::chat("Hello").model("mix"), 200).await;
    }
    let lines = bill_lines(&installation).await;
    let count = |model: &str| lines.iter().filter(|line: &&Value| line["model"] == model).count();
    let (often, seldom) = (count("sim"), count("other"));
    assert_eq!(often + seldom, 80);
    assert!(seldom > 0 && often > seldom, "{often} and {seldom} of 80, not about 60 and 20");
}
