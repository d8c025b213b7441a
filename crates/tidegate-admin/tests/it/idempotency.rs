//! Idempotency keys.

use http::{Method, StatusCode};
use serde_json::json;
use sqlx::Connection as _;

use crate::harness::World;

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_another_is_refused() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = json!({"team_id": tenant.team, "name": "ci"});
    let send = |token: &str, path: &'static str, body: String| {
        let token = token.to_owned();
        let world = &world;
        async move { world.send(Method::POST, &token, path, &[("idempotency-key", "once")], Some(body)).await }
    };
    let first = send(&tenant.owner, "/keys", body.to_string()).await.expect(StatusCode::CREATED);
    let again = send(&tenant.owner, "/keys", body.to_string()).await.expect(StatusCode::CREATED);
    assert_eq!((again.body.clone(), again.etag()), (first.body.clone(), first.etag()));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = json!({"team_id": tenant.team, "name": "other"});
    send(&tenant.owner, "/keys", other.to_string()).await.refused(422, "idempotency_key_reused");
    send(&tenant.owner, "/teams", json!({"name": "x"}).to_string())
        .await
        .refused(422, "idempotency_key_reused");
    // Somebody else's key of the same name, in the same organization, is not answered with it.
    let admin = world.member(&tenant.id, "admin@acme.example.com", "admin").await;
    send(&admin, "/keys", body.to_string()).await.refused(422, "idempotency_key_reused");
    // Another organization has keys of its own.
    let stranger = world.tenant("other").await;
    let own = json!({"team_id": stranger.team, "name": "ci"});
    send(&stranger.owner, "/keys", own.to_string()).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let headers = [("idempotency-key", "k")];
    let taken = Some(json!({"name": "core"}).to_string());
    let send = |body| world.send(Method::POST, &tenant.owner, "/teams", &headers, body);
    send(taken).await.refused(409, "already_exists");
    send(Some(json!({"name": "free"}).to_string())).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn making_an_organization_is_idempotent_too() {
    let world = World::start().await;
    let body = json!({"slug": "acme"}).to_string();
    let headers = [("idempotency-key", "k")];
    let first = world.send(Method::POST, &world.root, "/organizations", &headers, Some(body.clone())).await;
    let again = world.send(Method::POST, &world.root, "/organizations", &headers, Some(body)).await;
    assert_eq!(first.expect(StatusCode::CREATED).body, again.expect(StatusCode::CREATED).body);
}

#[tokio::test]
async fn a_shown_once_secret_is_not_stored_in_clear() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = json!({"team_id": tenant.team, "name": "ci"}).to_string();
    let made =
        world.send(Method::POST, &tenant.owner, "/keys", &[("idempotency-key", "k")], Some(body)).await;
    let key = made.expect(StatusCode::CREATED).str("/key");
    let mut owner = sqlx::PgConnection::connect(&world.database.superuser_url).await.unwrap();
    let tables: Vec<(String,)> =
        sqlx::query_as("SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'")
            .fetch_all(&mut owner)
            .await
            .unwrap();
    assert!(tables.len() > 20);
    for (table,) in tables {
        let query = format!(
            "SELECT count(*) FROM \"{table}\" t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0"
        );
        let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        let (found,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(&key)
            .bind(hex)
            .fetch_one(&mut owner)
            .await
            .unwrap();
        assert_eq!(found, 0, "the key is readable in {table}");
    }
}
