//! The test button: who may press it, and what it says.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use tidegate_admin::{App, CredentialTester, CredentialTrial, Later, NotTried};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::testing::TestDatabase;
use tidegate_telemetry::SystemClock;
use tidegate_types::{CredentialId, NodeId, OrganizationId};

use crate::harness::World;

/// A fleet of one node that says what it was asked.
struct Fleet;

impl CredentialTester for Fleet {
    fn test(
        &self,
        organization: OrganizationId,
        _: CredentialId,
    ) -> Later<'_, Result<CredentialTrial, NotTried>> {
        Box::pin(async move {
            Ok(CredentialTrial {
                ok: false,
                code: if organization == OrganizationId::SYSTEM { "limited" } else { "refused" }.into(),
                status: Some(401),
                error_type: Some("invalid_api_key".into()),
                latency_ms: 7,
                model: Some("openai/gpt-5".into()),
                node_id: NodeId::from_u128(1),
            })
        })
    }
}

fn credential(scope: &str) -> Value {
    json!({"name": "main", "provider": "openai", "scope": scope, "secret": {"api_key": "sk-canary"}})
}

#[tokio::test]
async fn without_a_node_nobody_can_try() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let made = world.post(&tenant.owner, "/credentials", &credential("organization")).await;
    let path = format!("/credentials/{}/test", made.expect(StatusCode::CREATED).str("/id"));
    world.post(&tenant.owner, &path, &Value::Null).await.refused(503, "no_node");
}

#[tokio::test]
async fn a_trial_says_what_the_provider_said_to_those_who_may_press_the_button() {
    let database = TestDatabase::create().await.unwrap();
    let store = database.store().await.unwrap();
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let app = App::open(store, kek, Arc::new(SystemClock), "http://control.test").await.unwrap();
    let world = World::over_app(database, app.with_tester(Arc::new(Fleet))).await;
    world.catalogue().await;
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let made = world.post(&tenant.owner, "/credentials", &credential("organization")).await;
    let path = format!("/credentials/{}/test", made.expect(StatusCode::CREATED).str("/id"));
    let told = world.post(&tenant.owner, &path, &Value::Null).await.expect(StatusCode::OK);
    assert_eq!((told.body["ok"].as_bool(), told.str("/code")), (Some(false), "refused".to_owned()));
    assert_eq!(
        (told.body["status"].as_u64(), told.str("/error_type")),
        (Some(401), "invalid_api_key".to_owned())
    );
    assert!(!told.text.contains("canary"));
    world.post(&other.owner, &path, &Value::Null).await.refused(404, "not_found");
    let viewer = world.member(&tenant.id, "viewer@acme.example.com", "viewer").await;
    world.post(&viewer, &path, &Value::Null).await.refused(403, "forbidden");
    let system = world.post(&world.root, "/credentials", &credential("system")).await;
    let path = format!("/credentials/{}/test", system.expect(StatusCode::CREATED).str("/id"));
    let told = world.post(&world.root, &path, &Value::Null).await.expect(StatusCode::OK);
    assert_eq!(told.str("/code"), "limited");
}
