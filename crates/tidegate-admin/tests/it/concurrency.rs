//! Writers at the same time.

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn of_many_writers_with_the_same_etag_one_wins() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let path = format!("/teams/{}", tenant.team);
    let etag = world.get(&tenant.owner, &path).await.etag();
    let writes = (0..8).map(|n| {
        let body = json!({"name": format!("n{n}")}).to_string();
        let (world, path, etag, token) = (&world, &path, &etag, &tenant.owner);
        async move { world.send(Method::PATCH, token, path, &[("if-match", etag)], Some(body)).await }
    });
    let answers = join_all(writes).await;
    let won = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    let lost = answers.iter().filter(|answer| answer.status == StatusCode::PRECONDITION_FAILED).count();
    assert_eq!((won, lost), (1, 7));
}

#[tokio::test]
async fn the_same_idempotency_key_at_the_same_time_makes_one_object() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = json!({"team_id": tenant.team, "name": "ci"}).to_string();
    let sends = (0..8).map(|_| {
        let (world, token, body) = (&world, &tenant.owner, body.clone());
        async move { world.send(Method::POST, token, "/keys", &[("idempotency-key", "k1")], Some(body)).await }
    });
    let answers = join_all(sends).await;
    let first = &answers[0].body;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::CREATED && answer.body == *first));
    assert_eq!(world.get(&tenant.owner, "/keys").await.rows().len(), 1);
}
