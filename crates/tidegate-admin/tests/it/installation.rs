//! Several control planes over one database, and a database that goes away.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use tidegate_admin::{AdminError, App};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::testing::TestDatabase;
use tidegate_telemetry::SystemClock;
use tidegate_testkit::postgres::Server;

use crate::harness::World;

#[tokio::test]
async fn two_control_planes_share_sessions_and_keys() {
    let database = TestDatabase::create().await.unwrap();
    let text = keygen::key_encryption_key();
    let open = async || {
        let kek = KeyEncryptionKey::from_secret(&text).unwrap();
        let store = database.store().await.unwrap();
        App::open(store, kek, Arc::new(SystemClock), "http://x").await
    };
    // Both start on an empty database at the same time.
    let (first, second) = tokio::join!(open(), open());
    let mut world = World::over_app(database.clone(), first.unwrap()).await;
    let tenant = world.tenant("acme").await;
    world.router = tidegate_admin::router(second.unwrap());
    let body = json!({"team_id": tenant.team, "name": "ci"});
    world.post(&tenant.owner, "/keys", &body).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn another_key_encryption_key_is_refused_at_the_start() {
    let world = World::start().await;
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let opened = App::open(world.store.clone(), kek, Arc::new(SystemClock), "http://x").await;
    assert!(matches!(opened, Err(AdminError::Refused(_))));
}

#[tokio::test]
async fn without_its_database_the_api_answers_503_and_recovers() {
    let mut cluster = Server::start().unwrap();
    let world = World::over(TestDatabase::create_in(cluster.address()).await.unwrap()).await;
    let tenant = world.tenant("acme").await;
    cluster.stop();
    let refused = world.get(&tenant.owner, "/teams").await.refused(503, "unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    world.post(&tenant.owner, "/teams", &json!({"name": "x"})).await.refused(503, "unavailable");
    cluster.start_again().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    loop {
        let answer = world.get(&tenant.owner, "/teams").await;
        if answer.status == StatusCode::OK {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{}", answer.text);
    }
}
