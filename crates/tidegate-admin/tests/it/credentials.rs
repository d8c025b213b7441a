//! Credentials: in, encrypted, sealed for nodes, never out.

use http::StatusCode;
use serde_json::json;
use tidegate_store::{SystemActor, credentials};
use tidegate_types::{CredentialId, OrganizationId};

use crate::harness::World;

const CANARY: &str = "sk-canary-0123456789abcdef";

#[tokio::test]
async fn a_credential_of_each_scope_is_stored_sealed_and_never_shown() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let body = |name: &str, scope: &str| json!({"name": name, "provider": "openai", "scope": scope, "secret": {"api_key": CANARY}});
    let system =
        world.post(&world.root, "/credentials", &body("s", "system")).await.expect(StatusCode::CREATED);
    let own = world
        .post(&tenant.owner, "/credentials", &body("o", "organization"))
        .await
        .expect(StatusCode::CREATED);
    let mut team = body("t", "team");
    team["team_id"] = json!(tenant.team);
    let team = world.post(&tenant.owner, "/credentials", &team).await.expect(StatusCode::CREATED);
    for answer in [&system, &own, &team] {
        assert!(!answer.text.contains("canary") && answer.body.get("secret").is_none(), "{}", answer.text);
        assert_eq!(answer.body["secret_version"], 1);
    }
    let one = format!("/credentials/{}", own.str("/id"));
    let patch = json!({"secret": {"api_key": format!("{CANARY}-2")}, "position": 3});
    let changed = world.patch(&tenant.owner, &one, &patch).await.expect(StatusCode::OK);
    assert_eq!((&changed.body["secret_version"], &changed.body["position"]), (&json!(2), &json!(3)));
    assert!(!changed.text.contains("canary"));

    // What nodes get: sealed for every pool, and not the plain text.
    let organization: OrganizationId = tenant.id.parse().unwrap();
    let id: CredentialId = own.str("/id").parse().unwrap();
    let mut tx = world.store.begin(&SystemActor::new("test").acting_for(organization)).await.unwrap();
    let stored = credentials::get(&mut tx, id).await.unwrap().value;
    assert_eq!((stored.sealed.len(), stored.sealed[0].secret_version), (1, 2));
    assert!(!stored.sealed[0].bytes.windows(6).any(|window| window == b"canary"));

    // A tenant does not see the system's; the platform lists them apart.
    assert_eq!(world.get(&tenant.owner, "/credentials").await.rows().len(), 2);
    world.get(&tenant.owner, &format!("/credentials/{}", system.str("/id"))).await.refused(404, "not_found");
    world.get(&tenant.owner, "/credentials?scope=system").await.refused(403, "forbidden");
    assert_eq!(world.get(&world.root, "/credentials").await.rows().len(), 1);
    world.delete(&tenant.owner, &one).await.expect(StatusCode::NO_CONTENT);
    world
        .delete(&world.root, &format!("/credentials/{}", system.str("/id")))
        .await
        .expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_bad_secret_is_refused_by_field_and_not_repeated() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let cases = [
        (json!({}), 422, "secret.api_key"),
        (json!({"api_key": CANARY, "region": "x"}), 422, "secret.region"),
        (json!({"api_key": format!("{CANARY}\r\nx: y")}), 422, "secret.api_key"),
        (json!(CANARY), 400, "secret"),
        (json!({"api_key": [CANARY]}), 400, "secret.api_key"),
    ];
    for (secret, status, field) in cases {
        let body = json!({"name": "c", "provider": "openai", "secret": secret});
        let answer = world.post(&tenant.owner, "/credentials", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert!(answer.fields().contains(&field), "{}", answer.text);
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    let mut team = json!({"name": "c", "provider": "openai", "scope": "team", "secret": {"api_key": "k"}});
    assert_eq!(world.post(&tenant.owner, "/credentials", &team).await.fields(), ["team_id"]);
    team["scope"] = json!("system");
    world.post(&tenant.owner, "/credentials", &team).await.refused(403, "forbidden");
}
