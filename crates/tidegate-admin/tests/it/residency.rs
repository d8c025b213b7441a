//! Attested areas of own credentials: kept as they are said, refused where nothing is said.

use axum::http::StatusCode;
use serde_json::json;
use tidegate_types::{Clock, Timestamp};

use crate::harness::World;

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
