//! Calls over an organization's own credentials: whether they count towards a budget is that budget's own setting.

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{App, Ask, OwnBudget, apps, bill, install, nano, nodes, seconds, until};

/// Room for a few calls of a hundred output tokens, at 0.0002 USD and a little for the input.
const LIMIT: &str = "0.001";

/// A key with a hard budget of its own that counts calls over own credentials, or does not; and the budget's id.
async fn key(installation: &Installation, name: &str, count_byok: bool) -> (App, String) {
    let (id, key) = installation.key(name, &json!({})).await.unwrap();
    let body = json!({"name": name, "limit": LIMIT, "window": {"lifetime": true}, "scope": {"key": id},
        "enforcement": "hard", "mode": "strict", "count_byok": count_byok});
    let budget = installation.admin.post("/budgets?wait=fleet", &body).await.unwrap();
    assert_eq!(budget["count_byok"], count_byok, "{budget}");
    (apps(installation, &key).remove(0), budget["id"].as_str().unwrap().to_owned())
}

fn ask() -> Ask {
    Ask::chat("Hello").at_most(100)
}

/// The budget when nothing is under way.
async fn settled(app: &App) -> OwnBudget {
    let quiet = || async { OwnBudget::of(app).await.is_some_and(|own| own.held == 0) };
    until("nothing is held", seconds(20), quiet).await;
    OwnBudget::of(app).await.unwrap()
}

/// Calls until the budget refuses; how many were served, and what their provider bills for them.
async fn until_refused(installation: &Installation, app: &App) -> (usize, i128) {
    let before = bill(installation).await;
    for served in 0..40 {
        let reply = app.call(&ask()).await.unwrap();
        if reply.status == 402 {
            return (served, bill(installation).await - before);
        }
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    panic!("forty calls fit into {LIMIT} USD");
}

/// What a key is told of its budgets: those that its calls may count towards.
async fn told(app: &App) -> Value {
    let (status, key) = app.get("/v1/key").await.unwrap();
    assert_eq!(status, 200, "{key}");
    key["budgets"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_over_own_credentials_count_towards_the_budgets_that_say_so_and_no_others() {
    let installation = install(nodes(1)).await;
    let admin = &installation.admin;
    installation.script(json!([{"then": {"output_tokens": 100}}])).await.unwrap();
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-own"}});
    let own = admin.post("/credentials?wait=fleet", &own).await.unwrap();
    let policy = json!({"name": "own", "allow_providers": ["sim-openai"], "allow_system_credentials": false});
    let policy = admin.post("/policies?wait=fleet", &policy).await.unwrap();
    let at = |kind: &str, one: &Value| format!("/{kind}/{}?wait=fleet", one["id"].as_str().unwrap());
    // A key without a budget of its own waits until the node can sign in with the credential.
    let (_, plain) = installation.key("plain", &json!({})).await.unwrap();
    let plain = apps(&installation, &plain).remove(0);
    until("the own credential answers", seconds(20), || async { plain.status().await == 200 }).await;

    let (counted, counting) = key(&installation, "counted", true).await;
    let (served, billed) = until_refused(&installation, &counted).await;
    let budget = settled(&counted).await;
    assert!(served > 0, "{budget:?}");
    assert_eq!((budget.spent, budget.unresolved), (billed, 0), "what the provider bills is what counts");
    assert!(budget.spent <= budget.limit, "{budget:?}");

    // A budget that does not count them is none of such calls: the key is not told of it.
    let (free, uncounted) = key(&installation, "free", false).await;
    assert_eq!(told(&free).await, json!([]));
    let before = bill(&installation).await;
    for _ in 0..3 * served {
        free.expect(&ask(), 200).await;
    }
    assert!(bill(&installation).await - before > budget.limit, "more than its limit was used");

    // The setting is the budget's own and is changed while calls go on.
    admin.patch(&format!("/budgets/{counting}?wait=fleet"), &json!({"count_byok": false})).await.unwrap();
    counted.expect(&ask(), 200).await;
    admin.patch(&format!("/budgets/{counting}?wait=fleet"), &json!({"count_byok": true})).await.unwrap();
    counted.expect(&ask(), 402).await;

    // What the operator's credentials pay for counts in both; what was not counted before stays so.
    admin.patch(&at("credentials", &own), &json!({"enabled": false})).await.unwrap();
    admin.patch(&at("policies", &policy), &json!({"allow_system_credentials": true})).await.unwrap();
    let (served, billed) = until_refused(&installation, &free).await;
    let budget = settled(&free).await;
    assert!(served > 0, "{budget:?}");
    assert_eq!(budget.spent, billed);
    counted.expect(&ask(), 402).await;
    let books = format!("/budgets/{uncounted}");
    let agree = || async { nano(&admin.get(&books).await.unwrap()["spend"]["spent"]) == billed };
    until("the books say what the counters say", seconds(20), agree).await;
}
