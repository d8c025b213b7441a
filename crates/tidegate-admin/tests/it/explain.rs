//! What would happen to a call, as things are and with a change, without calling anybody.

use http::StatusCode;
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn a_plan_is_explained_as_it_is_and_as_a_change_would_make_it() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    // Nobody can be called: there is no credential yet.
    let asked = json!({"model": "gpt-5"});
    let none = world.post(&tenant.owner, "/explain", &asked).await.expect(StatusCode::OK);
    assert_eq!(none.body["now"]["refusal"]["cause"], "no_provider", "{}", none.text);
    assert_eq!(none.body["now"]["removed"][0]["provider"], "openai", "{}", none.text);
    let secret = json!({"name": "ours", "scope": "organization", "provider": "openai",
        "secret": {"api_key": "sk-canary"}});
    world.post(&tenant.owner, "/credentials", &secret).await.expect(StatusCode::CREATED);
    let key = json!({"team_id": tenant.team, "name": "app"});
    let key = world.post(&tenant.owner, "/keys", &key).await.expect(StatusCode::CREATED).str("/id");
    let asked = json!({"key_id": key, "model": "openai/gpt-5", "options": {"sort": "cost", "models": ["no-such"]},
        "change": {"policy": {"name": "strict", "allow_models": ["anthropic/*"]}}});
    let told = world.post(&tenant.owner, "/explain", &asked).await.expect(StatusCode::OK);
    let candidate = &told.body["now"]["candidates"][0];
    assert_eq!((&candidate["provider"], &candidate["model"]), (&json!("openai"), &json!("openai/gpt-5")));
    assert!(candidate["reason"].as_str().unwrap().starts_with("asked for by name; own credential cred_"));
    assert_eq!(told.body["now"]["removed"][0]["model"], "no-such", "{}", told.text);
    assert_eq!(told.body["changed"]["refusal"]["cause"], "not_allowed", "{}", told.text);
    assert!(told.body["changed"]["refusal"]["message"].as_str().unwrap().contains("strict"));
    assert!(!told.text.contains("canary"));
    // Nothing was stored.
    assert!(world.get(&tenant.owner, "/policies").await.rows().is_empty());
    let route = json!({"model": "fast", "change": {"route": {"name": "fast", "targets": [{"model": "openai/gpt-5"}]}}});
    let told = world.post(&tenant.owner, "/explain", &route).await.expect(StatusCode::OK);
    assert_eq!(told.body["now"]["refusal"]["cause"], "unknown_model");
    assert_eq!(told.body["changed"]["route"], "fast", "{}", told.text);
    assert!(
        told.body["changed"]["candidates"][0]["reason"].as_str().unwrap().starts_with("drawn with weight 1")
    );
}

/// How many accounts the operator has for a provider is its own; how one's own share calls is told.
#[tokio::test]
async fn how_the_operators_credentials_share_calls_is_not_explained() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let weighted = |scope: &str, weight: u32| {
        json!({"name": format!("{scope}-{weight}"), "scope": scope, "provider": "openai", "weight": weight,
            "secret": {"api_key": "sk-canary"}})
    };
    for weight in [1, 3] {
        world
            .post(&world.root, "/credentials", &weighted("system", weight))
            .await
            .expect(StatusCode::CREATED);
        let own = weighted("organization", weight);
        world.post(&tenant.owner, "/credentials", &own).await.expect(StatusCode::CREATED);
    }
    let told = world.post(&tenant.owner, "/explain", &json!({"model": "openai/gpt-5"})).await;
    let told = told.expect(StatusCode::OK);
    let reasons = |kind: &str| {
        let all = told.body["now"]["candidates"].as_array().unwrap().iter();
        let of_kind = all.filter(|candidate| candidate["credential_type"] == kind);
        of_kind.map(|candidate| candidate["reason"].as_str().unwrap()).collect::<Vec<_>>()
    };
    let (operators, own) = (reasons("system"), reasons("byok"));
    assert_eq!((operators.len(), own.len()), (2, 2), "{}", told.text);
    assert!(own.iter().all(|reason| reason.contains("shares calls with weight")), "{own:?}");
    assert!(!operators.iter().any(|reason| reason.contains("shares calls")), "{operators:?}");
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused_and_other_organizations_keys_are_not_found() {
    let world = World::start().await;
    world.catalogue().await;
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let key = json!({"team_id": other.team, "name": "app"});
    let key = world.post(&other.owner, "/keys", &key).await.expect(StatusCode::CREATED).str("/id");
    for (asked, status, code) in [
        (json!({"key_id": key, "model": "gpt-5"}), 400, "invalid_request"),
        (json!({"model": "gpt-5", "options": {"sort": "speed"}}), 400, "invalid_request"),
        (json!({"model": "gpt-5", "options": {"has": ["wings"]}}), 400, "invalid_request"),
        (
            json!({"model": "gpt-5", "change": {"route": {"name": "r", "targets": [{"model": "x/none"}]}}}),
            422,
            "does_not_compile",
        ),
    ] {
        world.post(&tenant.owner, "/explain", &asked).await.refused(status, code);
    }
}
