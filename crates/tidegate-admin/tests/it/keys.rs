//! Virtual keys: the text once, then never again.

use http::StatusCode;
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn a_key_is_shown_once_paused_resumed_rotated_and_revoked() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = json!({"team_id": tenant.team, "name": "ci", "tags": {"env": "prod"},
        "allow": {"models": ["openai/*"], "ips": ["10.0.0.0/8"]}, "limits": {"requests_per_minute": 5}});
    let made = world.post(&tenant.owner, "/keys", &body).await.expect(StatusCode::CREATED);
    let (id, text) = (made.str("/id"), made.str("/key"));
    assert!(text.starts_with("tg_") && text.contains(id.trim_start_matches("key_")));
    let one = format!("/keys/{id}");
    let shown = world.get(&tenant.owner, &one).await.expect(StatusCode::OK);
    assert!(shown.body.get("key").is_none() && !shown.text.contains(&text));
    assert_eq!(shown.body["allow"]["ips"], json!(["10.0.0.0/8"]));

    let act = |verb: &str| format!("{one}/{verb}");
    let paused =
        world.send(http::Method::POST, &tenant.owner, &act("pause"), &[], None).await.expect(StatusCode::OK);
    assert_eq!(paused.str("/status"), "paused");
    assert_eq!(world.post(&tenant.owner, &act("resume"), &json!({})).await.str("/status"), "active");
    let rotated = world.post(&tenant.owner, &act("rotate"), &json!({"grace_seconds": 60})).await;
    let rotated = rotated.expect(StatusCode::OK);
    assert_ne!(rotated.str("/key"), text);
    assert!(rotated.body["old_key_until"].is_string());

    world.delete(&tenant.owner, &one).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(world.get(&tenant.owner, &one).await.str("/status"), "revoked");
    world.post(&tenant.owner, &act("resume"), &json!({})).await.refused(409, "revoked");
    world.patch(&tenant.owner, &one, &json!({"name": "x"})).await.refused(409, "revoked");
}

#[tokio::test]
async fn a_key_belongs_to_a_team_of_its_own_organization() {
    let world = World::start().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let foreign = json!({"team_id": b.team, "name": "ci"});
    let refused = world.post(&a.owner, "/keys", &foreign).await.refused(422, "does_not_compile");
    assert_eq!(refused.fields(), ["team_id"]);
}

#[tokio::test]
async fn keys_are_listed_by_team() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let other = world.post(&tenant.owner, "/teams", &json!({"name": "other"})).await.str("/id");
    for (team, name) in [(&tenant.team, "a"), (&other, "b"), (&other, "c")] {
        let body = json!({"team_id": team, "name": name});
        world.post(&tenant.owner, "/keys", &body).await.expect(StatusCode::CREATED);
    }
    assert_eq!(world.get(&tenant.owner, "/keys").await.rows().len(), 3);
    assert_eq!(world.get(&tenant.owner, &format!("/keys?team_id={other}")).await.rows().len(), 2);
}

#[tokio::test]
async fn bad_limits_tags_and_times_are_named() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let with = |field: &str, value: serde_json::Value| {
        let mut body = json!({"team_id": tenant.team, "name": "ci"});
        body[field] = value;
        body
    };
    let cases = [
        (with("limits", json!({"requests_per_minute": "many"})), 400, "limits.requests_per_minute"),
        (with("limits", json!({"rpm": 5})), 400, "limits.rpm"),
        (with("expires_at", json!("2020-01-01T00:00:00Z")), 422, "expires_at"),
        (with("expires_at", json!("tomorrow")), 400, "expires_at"),
        (with("allow", json!({"models": ["gpt-5"]})), 422, "allow.models[0]"),
        (with("allow", json!({"ips": ["everywhere"]})), 400, "allow.ips[0]"),
        (with("name", json!("")), 422, "name"),
        (with("team_id", json!("org_1")), 400, "team_id"),
    ];
    for (body, status, field) in cases {
        let answer = world.post(&tenant.owner, "/keys", &body).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (status, vec![field]), "{}", answer.text);
    }
}
