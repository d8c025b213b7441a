//! Tenant B at every endpoint with tenant A's ids: 404, and nothing of A in any answer.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::json;

use crate::garbage::operations;
use crate::harness::{Tenant, World};

/// One object of every kind that belongs to `tenant`: path of the collection → id.
async fn objects(world: &World, tenant: &Tenant) -> BTreeMap<&'static str, String> {
    let bodies = [
        ("/teams", json!({"name": "secret-team"})),
        ("/keys", json!({"team_id": tenant.team, "name": "secret-key"})),
        (
            "/credentials",
            json!({"name": "secret-cred", "provider": "openai", "secret": {"api_key": "sk-canary"}}),
        ),
        (
            "/price-overrides",
            json!({"model": "openai/gpt-5", "provider": "openai", "source": "secret-contract", "tiers": [
                {"from_input_tokens": 0, "prices": [{"unit": "input_token", "price": "0.000001"}, {"unit": "output_token", "price": "0.000001"}]}]}),
        ),
        ("/routes", json!({"name": "secret-route", "targets": [{"model": "openai/gpt-5"}]})),
        ("/policies", json!({"name": "secret-policy"})),
        ("/budgets", json!({"name": "secret-budget", "limit": "1", "window": {"every": "day"}})),
        ("/service-tokens", json!({"name": "secret-token", "role": "viewer"})),
        ("/webhooks", json!({"name": "secret-webhook", "url": "https://secret-host.example.com/"})),
        (
            "/trust-rules",
            json!({"name": "secret-rule", "issuer": "https://secret-issuer.example.com", "audience": "secret-audience",
                "team_id": tenant.team}),
        ),
        (
            "/exporters",
            json!({"name": "secret-exporter", "url": "https://secret-host.example.com/v1/traces"}),
        ),
        ("/members", json!({"email": "secret@a.example.com", "role": "viewer"})),
    ];
    let mut found = BTreeMap::from([("/organizations", tenant.id.clone())]);
    for (path, body) in bodies {
        let made = world.post(&tenant.owner, path, &body).await.expect(StatusCode::CREATED);
        found.insert(path, made.str("/id"));
    }
    found.insert("/calls", "gen_00000000000000000000000001".to_owned());
    found
}

#[tokio::test]
async fn nobody_reaches_another_organizations_objects() {
    let world = World::start().await;
    world.catalogue().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let objects = objects(&world, &a).await;
    let before = snapshot(&world, &a).await;
    let mut probed = 0;
    for (method, path, body) in operations() {
        let Some((collection, rest)) = path.split_once("/{id}") else { continue };
        let Some(id) = objects.get(collection) else { continue };
        let path = format!("{collection}/{id}{rest}");
        let body = body.map(|_| {
            if path.starts_with("/members") { json!({"role": "viewer"}) } else { json!({"name": "b"}) }
        });
        // A body that its owner could send: the refusal must come from whose object it is.
        let text = match (rest, body) {
            ("/raises", _) => {
                json!({"amount": "1", "until": "2100-01-01T00:00:00Z", "reason": "b"}).to_string()
            }
            ("/redeliver", _) => json!({"notice_id": "msg_00000000000000000000000001"}).to_string(),
            ("", Some(body)) => body.to_string(),
            _ => "{}".to_owned(),
        };
        for path in [path.clone(), format!("{path}?organization={}", a.id)] {
            let answer = world.send(method.clone(), &b.owner, &path, &[], Some(text.clone())).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.text);
            probed += 1;
        }
    }
    assert!(probed >= 50, "only {probed} probes");
    assert_eq!(snapshot(&world, &a).await, before, "something of A was changed");
}

#[tokio::test]
async fn no_list_shows_another_organizations_rows() {
    let world = World::start().await;
    world.catalogue().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let objects = objects(&world, &a).await;
    let mut lists = 0;
    for (method, path, _) in operations() {
        if method != http::Method::GET || path.contains("{id}") {
            continue;
        }
        let answer = world.get(&b.owner, &path).await;
        for id in objects.values() {
            assert!(!answer.text.contains(id), "{path} shows {id}");
        }
        assert!(!answer.text.contains("secret-"), "{path}: {}", answer.text);
        // The positive control: the owner of the rows does see them.
        if let Some(id) = objects.get(path.as_str()).filter(|_| path != "/calls") {
            assert!(
                world.get(&a.owner, &path).await.text.contains(id),
                "{path} does not show {id} to its owner"
            );
            lists += 1;
        }
        if path != "/me" && path != "/openapi.json" {
            let named = world.get(&b.owner, &format!("{path}?organization={}", a.id)).await;
            assert!(!named.text.contains("secret-"), "{path}: {}", named.text);
        }
    }
    assert!(lists >= 8, "only {lists} lists");
}

#[tokio::test]
async fn references_to_another_organizations_objects_are_refused() {
    let world = World::start().await;
    world.catalogue().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let objects = objects(&world, &a).await;
    let (team, key) = (&objects["/teams"], &objects["/keys"]);
    let day = json!({"every": "day"});
    for (path, body) in [
        ("/keys", json!({"team_id": team, "name": "x"})),
        ("/policies", json!({"name": "x", "scope": {"team": team}})),
        ("/policies", json!({"name": "x", "scope": {"key": key}})),
        ("/budgets", json!({"name": "x", "limit": "1", "window": day, "scope": {"team": team}})),
        ("/budgets", json!({"name": "x", "limit": "1", "window": day, "scope": {"key": key}})),
        (
            "/credentials",
            json!({"name": "x", "provider": "openai", "scope": "team", "team_id": team, "secret": {"api_key": "k"}}),
        ),
    ] {
        let answer = world.post(&b.owner, path, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", answer.text);
    }
}

async fn snapshot(world: &World, tenant: &Tenant) -> Vec<String> {
    let mut all = Vec::new();
    for path in [
        "/teams",
        "/keys",
        "/trust-rules",
        "/credentials",
        "/price-overrides",
        "/routes",
        "/policies",
        "/budgets",
        "/service-tokens",
        "/webhooks",
        "/notices",
        "/exporters",
        "/members",
        "/audit",
    ] {
        all.push(world.get(&tenant.owner, path).await.expect(StatusCode::OK).text);
    }
    all
}
