//! ETag and If-Match, and what a later release wrote.

use http::{Method, StatusCode};
use serde_json::json;
use sqlx::Connection as _;

use crate::harness::World;

#[tokio::test]
async fn a_change_or_removal_of_a_newer_version_is_refused() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let path = format!("/teams/{}", tenant.team);
    let old = world.get(&tenant.owner, &path).await.etag();
    let changed = world.patch(&tenant.owner, &path, &json!({"name": "b"})).await.expect(StatusCode::OK);
    assert_ne!(changed.etag(), old);
    let body = Some(json!({"name": "c"}).to_string());
    let send = |method, tag: String, body| {
        let (world, path, token) = (&world, &path, &tenant.owner);
        async move { world.send(method, token, path, &[("if-match", &tag)], body).await }
    };
    send(Method::PATCH, old.clone(), body.clone()).await.refused(412, "precondition_failed");
    send(Method::DELETE, old, None).await.refused(412, "precondition_failed");
    send(Method::PATCH, changed.etag(), body).await.expect(StatusCode::OK);
    send(Method::DELETE, "*".to_owned(), None).await.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_merge_patch_keeps_what_it_does_not_name_and_removes_what_is_null() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let path = format!("/teams/{}", tenant.team);
    let limits = json!({"limits": {"requests_per_minute": 5, "concurrency": 2}});
    world.patch(&tenant.owner, &path, &limits).await.expect(StatusCode::OK);
    let patch = json!({"limits": {"concurrency": null}});
    let changed = world.patch(&tenant.owner, &path, &patch).await.expect(StatusCode::OK);
    assert_eq!(changed.body["limits"]["requests_per_minute"], 5);
    assert!(changed.body["limits"]["concurrency"].is_null());
    assert_eq!(changed.body["name"], "core");
    let refused =
        world.patch(&tenant.owner, &path, &json!({"name": null})).await.refused(400, "invalid_request");
    assert_eq!(refused.fields(), ["name"]);
    let refused =
        world.patch(&tenant.owner, &path, &json!({"nam": "x"})).await.refused(400, "invalid_request");
    assert_eq!(refused.fields(), ["nam"]);
}

#[tokio::test]
async fn what_a_later_release_wrote_is_not_changed_but_may_be_removed() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let made =
        world.post(&tenant.owner, "/policies", &json!({"name": "a"})).await.expect(StatusCode::CREATED);
    let path = format!("/policies/{}", made.str("/id"));
    let mut owner = sqlx::PgConnection::connect(&world.database.superuser_url).await.unwrap();
    let sql = "UPDATE config_resources SET content = jsonb_set(content, '{privacy,processors}', '[\"eu\"]') WHERE kind = 'policy'";
    sqlx::query(sql).execute(&mut owner).await.unwrap();
    let refused = world.patch(&tenant.owner, &path, &json!({"name": "b"})).await;
    let told = refused.refused(409, "later_release");
    assert!(told.body["detail"].as_str().unwrap().contains("privacy.processors"), "{:?}", told.body);
    assert_eq!(world.get(&tenant.owner, &path).await.body["name"], "a");
    world.delete(&tenant.owner, &path).await.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_value_that_only_a_later_release_can_read_is_told_as_such_and_is_in_no_others_way() {
    let world = World::start().await;
    world.catalogue().await;
    let (tenant, other) = (world.tenant("acme").await, world.tenant("other").await);
    let made =
        world.post(&tenant.owner, "/policies", &json!({"name": "a"})).await.expect(StatusCode::CREATED);
    let path = format!("/policies/{}", made.str("/id"));
    let mut owner = sqlx::PgConnection::connect(&world.database.superuser_url).await.unwrap();
    for sql in [
        "UPDATE config_resources SET content = jsonb_set(content, '{privacy,zdr}', '\"tomorrow\"') WHERE kind = 'policy'",
        "UPDATE config_resources SET content = jsonb_set(content, '{dialect}', '\"tomorrow\"') WHERE kind = 'provider'",
    ] {
        let changed = sqlx::query(sql).execute(&mut owner).await.unwrap();
        assert_eq!(changed.rows_affected(), 1);
    }
    world.patch(&tenant.owner, &path, &json!({"name": "b"})).await.refused(409, "later_release");
    world.get(&tenant.owner, &path).await.refused(409, "later_release");
    world.get(&tenant.owner, "/policies").await.refused(409, "later_release");
    // What of the shared catalogue cannot be read is nobody's fault, and holds nobody up.
    world.post(&other.owner, "/policies", &json!({"name": "a"})).await.expect(StatusCode::CREATED);
}
