//! Where calls may run and where offerings do: kept as it is said, refused where it says nothing sound, explained.

use axum::http::StatusCode;
use serde_json::json;
use tidegate_types::{Clock, Timestamp};

use crate::harness::World;

#[tokio::test]
async fn areas_are_said_in_policies_facts_and_attestations_and_explained() {
    let world = World::start().await;
    let offering = format!("/offerings/{}", world.catalogue().await);
    let tenant = world.tenant("acme").await;
    let owner = &tenant.owner;
    let credential =
        json!({"name": "s", "provider": "openai", "scope": "system", "secret": {"api_key": "sk"}});
    world.post(&world.root, "/credentials", &credential).await.expect(StatusCode::CREATED);

    let policy =
        json!({"name": "eu-only", "privacy": {"inference_regions": ["eu"], "headquarters": ["!CN"]}});
    let policy = world.post(owner, "/policies", &policy).await.expect(StatusCode::CREATED);
    assert_eq!(policy.body["privacy"]["inference_regions"], json!(["eu"]));
    let mixed = json!({"privacy": {"headquarters": ["US", "!CN"]}});
    let one = format!("/policies/{}", policy.str("/id"));
    let refused = world.patch(owner, &one, &mixed).await.refused(422, "validation_failed");
    assert_eq!(refused.fields(), ["privacy.headquarters"]);
    // A tier that is set later leaves the areas as they are.
    let patched = world.patch(owner, &one, &json!({"privacy": {"zdr": "none", "headquarters": []}})).await;
    assert_eq!(patched.expect(StatusCode::OK).body["privacy"]["inference_regions"], json!(["eu"]));

    let fact = |fact: serde_json::Value| {
        let mut fact = fact;
        fact["source"] = json!("https://openai.example/where");
        fact["read_at"] = json!("2020-01-01T00:00:00Z");
        fact["expires_at"] = json!("2099-01-01T00:00:00Z");
        json!({ "locations": [fact] })
    };
    for wrong in [json!({}), json!({"areas": ["eu"], "regional": true})] {
        world.patch(&world.root, &offering, &fact(wrong)).await.refused(422, "does_not_compile");
    }
    let explained = async |world: &World| {
        let told = world.post(owner, "/explain", &json!({"model": "openai/gpt-5"})).await;
        told.expect(StatusCode::OK).body["now"].clone()
    };
    let told = explained(&world).await;
    assert_eq!((&told["inference_regions"], &told["candidates"]), (&json!(["eu"]), &json!([])));
    let message = told["refusal"]["message"].as_str().unwrap();
    assert!(message.contains("`privacy.inference_regions` of policy 'eu-only'"), "{message}");
    let stated = world.patch(&world.root, &offering, &fact(json!({"areas": ["eu"]}))).await;
    assert_eq!(stated.expect(StatusCode::OK).body["locations"][0]["areas"], json!(["eu"]));
    assert_eq!(explained(&world).await["candidates"][0]["provider"], "openai");
}

#[tokio::test]
async fn an_attestation_may_say_no_more_than_the_areas() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let attested = |attestation: serde_json::Value| {
        json!({"name": "o", "provider": "openai", "scope": "organization", "secret": {"api_key": "sk"},
            "attestation": attestation})
    };
    let until: Timestamp = tidegate_telemetry::SystemClock.now().plus_millis(300 * 24 * 3_600_000);
    let empty = attested(json!({"statement": "contract 7", "expires_at": until}));
    world.post(&tenant.owner, "/credentials", &empty).await.refused(422, "validation_failed");
    let areas = attested(json!({"areas": ["eu", "ch"], "statement": "contract 7", "expires_at": until}));
    let made = world.post(&tenant.owner, "/credentials", &areas).await.expect(StatusCode::CREATED);
    assert_eq!(made.body["attestation"]["areas"], json!(["eu", "ch"]));
    assert_eq!(made.body["attestation"]["tier"], "none");
}
