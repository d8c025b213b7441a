//! Several credentials for one provider: calls are shared by weight, sessions stay at one of them, and who
//! has no quota left at its provider gets none. The provider's own journal says which secret was used.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{App, Ask, apps, install, nodes, seconds, until};

const HEAVY: &str = "sk-heavy";
const LIGHT: &str = "sk-light";

/// An own credential with this secret for all calls of the organization.
async fn credential(installation: &Installation, secret: &str, weight: u32) -> String {
    let body = json!({"name": secret, "provider": "sim-openai", "scope": "organization", "weight": weight,
        "secret": {"api_key": secret}});
    let made = installation.admin.post("/credentials?wait=fleet", &body).await.unwrap();
    assert_eq!(made["weight"], weight, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

/// How often the provider saw each secret.
async fn seen(installation: &Installation) -> BTreeMap<String, usize> {
    let journal = installation.simulator_get("/journal").await.unwrap();
    let mut seen = BTreeMap::new();
    for received in journal.as_array().unwrap() {
        let headers = received["headers"].as_array().unwrap();
        let signed = headers.iter().find(|header| header[0] == "authorization");
        let secret = signed.and_then(|header| header[1].as_str()).unwrap_or_default();
        *seen.entry(secret.trim_start_matches("Bearer ").to_owned()).or_default() += 1;
    }
    seen
}

/// So many calls, at every node in turn; with which secrets they were answered.
async fn spent(installation: &Installation, apps: &[App], calls: usize) -> (usize, usize) {
    let before = seen(installation).await;
    for number in 0..calls {
        let reply = apps[number % apps.len()].call(&Ask::chat("Hello").at_most(1)).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let after = seen(installation).await;
    let of = |secret: &str| after.get(secret).unwrap_or(&0) - before.get(secret).unwrap_or(&0);
    assert_eq!(of(HEAVY) + of(LIGHT), calls, "nobody else's credential was used, and none twice: {after:?}");
    (of(HEAVY), of(LIGHT))
}

/// What the provider says of the quota of a secret.
fn says(secret: &str, remaining: u64) -> Value {
    json!({"when": {"key": secret}, "then": {"headers": {"x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": remaining.to_string(), "x-ratelimit-reset-requests": "4m0s"}}})
}

/// Until no more calls go to a secret, on every node.
async fn until_left_alone(installation: &Installation, apps: &[App], secret: &str) {
    let quiet = || async {
        let (heavy, light) = spent(installation, apps, 8).await;
        (if secret == HEAVY { heavy } else { light }) == 0
    };
    until("a credential without quota is left alone", seconds(20), quiet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_shared_by_weight_and_a_credential_without_quota_gets_none_until_its_provider_says_otherwise()
 {
    let installation = install(nodes(2)).await;
    let heavy = credential(&installation, HEAVY, 3).await;
    let light = credential(&installation, LIGHT, 1).await;
    let policy = json!({"name": "own", "allow_providers": ["sim-openai"], "allow_system_credentials": false});
    installation.admin.post("/policies?wait=fleet", &policy).await.unwrap();
    let (key_id, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    for app in &apps {
        until("the own credentials answer", seconds(20), || async { app.status().await == 200 }).await;
    }

    // Three to one: 240 calls are 180 and 60, and the draw is off by 40 once in a billion times.
    let (of_heavy, of_light) = spent(&installation, &apps, 240).await;
    assert!((140..=220).contains(&of_heavy), "{of_heavy} and {of_light}");

    // The calls of a session stay at one credential, whichever node takes them.
    for session in ["one", "two", "three", "four", "five"] {
        let before = seen(&installation).await;
        for app in [&apps, &apps, &apps].into_iter().flatten() {
            let reply = app.request(&Ask::chat("Hello").at_most(1)).header("x-session-id", session);
            assert_eq!(reply.send().await.unwrap().status(), 200);
        }
        let after = seen(&installation).await;
        let used = after.iter().filter(|(secret, count)| before.get(*secret) != Some(count)).count();
        assert_eq!(used, 1, "{session}: {before:?} {after:?}");
    }

    // Explained beforehand, per candidate.
    let asked = json!({"key_id": key_id, "model": "sim/chat"});
    let told = installation.admin.post("/explain", &asked).await.unwrap();
    let candidates = told["now"]["candidates"].as_array().unwrap();
    let reason = |id: &str| {
        let one = candidates.iter().find(|candidate| candidate["credential_id"] == id);
        one.and_then(|candidate| candidate["reason"].as_str()).unwrap_or_default().to_owned()
    };
    assert!(reason(&heavy).contains("shares calls with weight 3 of 4"), "{told}");
    assert!(reason(&light).contains("shares calls with weight 1 of 4"), "{told}");

    // The heavy one's quota is used up: all calls go to the other, and none fails.
    installation.script(json!([says(HEAVY, 0)])).await.unwrap();
    until_left_alone(&installation, &apps, HEAVY).await;
    assert_eq!(spent(&installation, &apps, 40).await, (0, 40));
    let reply = apps[0].expect(&Ask::chat("Hello"), 200).await;
    let call = format!("/calls/{}", reply.id());
    until("the call is recorded", seconds(20), || async { installation.admin.get(&call).await.is_ok() })
        .await;
    let recorded = installation.admin.get(&call).await.unwrap();
    let planned = recorded["plan"]["candidates"].as_array().unwrap();
    let of = |id: &str| planned.iter().find(|candidate| candidate["credential_id"] == id).unwrap().clone();
    assert_eq!(of(&heavy)["quota_tenths"], 0, "{recorded}");
    assert_eq!(of(&light)["quota_tenths"], Value::Null, "{recorded}");

    // Then the light one's too: as nobody has any, calls are shared as before; and the first answer that
    // says that there is some again gives the heavy one all of them.
    installation.script(json!([says(HEAVY, 90), says(LIGHT, 0)])).await.unwrap();
    until_left_alone(&installation, &apps, LIGHT).await;
    assert_eq!(spent(&installation, &apps, 40).await, (40, 0));
}
