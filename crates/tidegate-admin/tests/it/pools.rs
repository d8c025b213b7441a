//! Pools, and organizations placed in them.

use http::StatusCode;
use serde_json::json;
use tidegate_store::{SystemActor, credentials};
use tidegate_types::OrganizationId;

use crate::harness::World;

#[tokio::test]
async fn a_pool_is_made_once_with_the_systems_credentials_sealed_for_it() {
    let world = World::start().await;
    world.catalogue().await;
    let body = json!({"name": "s", "provider": "openai", "scope": "system", "secret": {"api_key": "sk-1"}});
    let id = world.post(&world.root, "/credentials", &body).await.expect(StatusCode::CREATED).str("/id");
    let made = world.post(&world.root, "/pools", &json!({"name": "eu"})).await.expect(StatusCode::CREATED);
    assert_eq!((made.str("/name").as_str(), &made.body["live_nodes"]), ("eu", &json!(0)));
    let list = world.get(&world.root, "/pools?limit=1").await.expect(StatusCode::OK);
    assert_eq!((list.rows()[0]["name"].as_str(), &list.body["has_more"]), (Some("default"), &json!(true)));
    let next = format!("/pools?cursor={}", list.str("/next_cursor"));
    assert_eq!(world.get(&world.root, &next).await.rows()[0]["name"], "eu");
    world.post(&world.root, "/pools", &json!({"name": "eu"})).await.refused(409, "already_exists");
    let malformed = world.post(&world.root, "/pools", &json!({"name": "E U"})).await;
    assert_eq!(malformed.refused(422, "validation_failed").fields(), ["name"]);

    let mut tx =
        world.store.begin(&SystemActor::new("test").acting_for(OrganizationId::SYSTEM)).await.unwrap();
    let stored = credentials::get(&mut tx, id.parse().unwrap()).await.unwrap().value;
    let pools: Vec<&str> = stored.sealed.iter().map(|sealed| sealed.pool.as_str()).collect();
    assert_eq!(pools, ["default", "eu"]);
    assert_ne!(stored.sealed[0].bytes, stored.sealed[1].bytes);
    let token = world.post(&world.root, "/join-tokens", &json!({"pool": "eu"})).await;
    assert_eq!(token.expect(StatusCode::CREATED).str("/pool"), "eu");
}

#[tokio::test]
async fn the_platform_places_organizations_and_their_credentials_follow() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let own = json!({"name": "o", "provider": "openai", "secret": {"api_key": "sk-own"}});
    let id = world.post(&tenant.owner, "/credentials", &own).await.expect(StatusCode::CREATED).str("/id");
    world.post(&world.root, "/pools", &json!({"name": "eu"})).await.expect(StatusCode::CREATED);
    let path = format!("/organizations/{}", tenant.id);
    assert_eq!(world.get(&tenant.owner, &path).await.body["pools"], json!(["default"]));
    let eu = json!({"pools": ["eu"]});
    world.patch(&tenant.owner, &path, &eu).await.refused(403, "forbidden");
    for (pools, code, field) in [
        (json!([]), "validation_failed", "pools"),
        (json!(["eu", "eu"]), "validation_failed", "pools"),
        (json!(["eu", "mars"]), "unknown_reference", "pools[1]"),
    ] {
        let refused = world.patch(&world.root, &path, &json!({"pools": pools})).await;
        assert_eq!(refused.refused(422, code).fields(), [field]);
    }
    let placed = world.patch(&world.root, &path, &eu).await.expect(StatusCode::OK);
    assert_eq!(placed.body["pools"], json!(["eu"]));
    assert_eq!(world.get(&tenant.owner, &path).await.body["pools"], json!(["eu"]));
    let organization: OrganizationId = tenant.id.parse().unwrap();
    let mut tx = world.store.begin(&SystemActor::new("test").acting_for(organization)).await.unwrap();
    let stored = credentials::get(&mut tx, id.parse().unwrap()).await.unwrap().value;
    assert!(stored.sealed.iter().any(|sealed| sealed.pool == "eu" && !sealed.bytes.is_empty()));
    drop(tx);
    // An owner may still rename it.
    world.patch(&tenant.owner, &path, &json!({"name": "Acme"})).await.expect(StatusCode::OK);

    let made = json!({"slug": "globex", "pools": ["eu", "default"]});
    let made = world.post(&world.root, "/organizations", &made).await.expect(StatusCode::CREATED);
    assert_eq!(made.body["pools"], json!(["eu", "default"]));
    let unknown = world.post(&world.root, "/organizations", &json!({"slug": "x", "pools": ["mars"]})).await;
    assert_eq!(unknown.refused(422, "unknown_reference").fields(), ["pools[0]"]);
}

#[tokio::test]
async fn a_hard_budget_is_refused_where_several_pools_serve_the_organization() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    world.post(&world.root, "/pools", &json!({"name": "eu"})).await.expect(StatusCode::CREATED);
    let path = format!("/organizations/{}", tenant.id);
    let budget = |enforcement: &str| json!({"name": enforcement, "limit": "1", "window": {"every": "day"}, "enforcement": enforcement});
    let hard = world.post(&tenant.owner, "/budgets", &budget("hard")).await.expect(StatusCode::CREATED);
    let both = json!({"pools": ["eu", "default"]});
    let refused = world.patch(&world.root, &path, &both).await.refused(422, "hard_budget_needs_one_pool");
    assert!(refused.text.contains("hard"), "{}", refused.text);
    let one = format!("/budgets/{}", hard.str("/id"));
    world.delete(&tenant.owner, &one).await.expect(StatusCode::NO_CONTENT);
    world.patch(&world.root, &path, &both).await.expect(StatusCode::OK);
    let refused = world.post(&tenant.owner, "/budgets", &budget("hard")).await;
    assert_eq!(refused.refused(422, "hard_budget_needs_one_pool").fields(), ["enforcement"]);
    let soft = world.post(&tenant.owner, "/budgets", &budget("soft")).await.expect(StatusCode::CREATED);
    let one = format!("/budgets/{}", soft.str("/id"));
    let patched = world.patch(&tenant.owner, &one, &json!({"enforcement": "hard"})).await;
    patched.refused(422, "hard_budget_needs_one_pool");
}
