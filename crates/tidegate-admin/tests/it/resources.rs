//! Every resource of a tenant: made, shown, listed, changed, removed.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Tenant, World};

async fn round(world: &World, tenant: &Tenant, path: &str, body: Value, patch: Value, field: &str) {
    let token = &tenant.owner;
    let made = world.post(token, path, &body).await.expect(StatusCode::CREATED);
    let one = format!("{path}/{}", made.str("/id"));
    let shown = world.get(token, &one).await.expect(StatusCode::OK);
    assert_eq!(shown.body["name"], body["name"]);
    assert!(
        world
            .get(token, path)
            .await
            .expect(StatusCode::OK)
            .rows()
            .iter()
            .any(|row| row["id"] == made.body["id"])
    );
    let changed = world.patch(token, &one, &patch).await.expect(StatusCode::OK);
    assert_eq!(changed.body[field], patch[field]);
    let after = world.get(token, &one).await.expect(StatusCode::OK);
    assert_eq!(after.body[field], patch[field]);
    assert_eq!(after.etag(), changed.etag());
    world.delete(token, &one).await.expect(StatusCode::NO_CONTENT);
    world.get(token, &one).await.refused(404, "not_found");
}

#[tokio::test]
async fn teams_routes_policies_and_budgets_live_their_whole_life() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let limits = json!({"requests_per_minute": 60, "tokens_per_minute": null, "concurrency": null});
    round(&world, &tenant, "/teams", json!({"name": "other"}), json!({"limits": limits}), "limits").await;
    let route = json!({"name": "fast", "targets": [{"model": "openai/gpt-5"}]});
    round(&world, &tenant, "/routes", route, json!({"attempt_timeout_ms": 5000}), "attempt_timeout_ms").await;
    let policy = json!({"name": "strict", "scope": {"team": tenant.team}, "privacy": {"zdr": "none"}});
    round(&world, &tenant, "/policies", policy, json!({"privacy": {"zdr": "zdr"}}), "privacy").await;
    let budget = json!({"name": "monthly", "limit": "1.00", "window": {"every": "month"}, "scope": {"team": tenant.team},
        "enforcement": "hard", "mode": "strict"});
    round(&world, &tenant, "/budgets", budget, json!({"limit": "0.5"}), "limit").await;
}

#[tokio::test]
async fn an_organization_limits_its_rates_and_those_of_its_models() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let path = format!("/organizations/{}", tenant.id);
    let limits = json!({"limits": {"requests_per_minute": 600, "concurrency": 20},
        "model_limits": {"openai/gpt-5": {"tokens_per_minute": 90_000}}});
    world.patch(&tenant.owner, &path, &limits).await.expect(StatusCode::OK);
    let shown = world.get(&tenant.owner, &path).await.expect(StatusCode::OK);
    assert_eq!(shown.body["limits"]["requests_per_minute"], 600);
    assert_eq!(shown.body["model_limits"]["openai/gpt-5"]["tokens_per_minute"], 90_000);
    let unknown = json!({"model_limits": {"openai/nobody": {"concurrency": 1}}});
    world.patch(&tenant.owner, &path, &unknown).await.refused(422, "does_not_compile");
    // One is taken away, the other stays.
    let gone = json!({"model_limits": {"openai/gpt-5": null}});
    let shown = world.patch(&tenant.owner, &path, &gone).await.expect(StatusCode::OK);
    assert_eq!(shown.body["model_limits"], json!({}));
    assert_eq!(shown.body["limits"]["concurrency"], 20);
}

#[tokio::test]
async fn a_budget_names_users_and_tags_by_text_and_keeps_hashes() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = |name: &str| {
        json!({"name": name, "limit": "5", "window": {"every": "day"},
            "scope": {"end_user": "alice", "tag": "env=prod"}})
    };
    let made = world.post(&tenant.owner, "/budgets", &body("a")).await.expect(StatusCode::CREATED);
    assert_eq!(made.body["scope"]["end_user"]["text"], "alice");
    assert_eq!(made.str("/scope/tag/hash").len(), 32);
    let policy = json!({"name": "zdr", "privacy": {"zdr": "zdr"}});
    world.post(&tenant.owner, "/policies", &policy).await.expect(StatusCode::CREATED);
    let mut private = body("b");
    private["scope"]["end_user"] = json!("bob");
    let made = world.post(&tenant.owner, "/budgets", &private).await.expect(StatusCode::CREATED);
    assert_eq!(made.body["scope"]["end_user"]["text"], Value::Null);
    assert!(!made.text.contains("bob"));
}

#[tokio::test]
async fn what_nodes_would_reject_is_not_stored() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let route = json!({"name": "fast", "targets": [{"model": "openai/nonsense"}]});
    let refused = world.post(&tenant.owner, "/routes", &route).await.refused(422, "does_not_compile");
    assert_eq!(refused.fields(), ["targets[0].model"]);
    assert!(world.get(&tenant.owner, "/routes").await.rows().is_empty());
}

#[tokio::test]
async fn a_name_is_taken_once_per_organization() {
    let world = World::start().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let body = json!({"name": "core"});
    let refused = world.post(&a.owner, "/teams", &body).await.refused(409, "already_exists");
    assert_eq!(refused.fields(), ["name"]);
    assert_eq!(world.get(&b.owner, "/teams").await.rows().len(), 1);
    world.post(&world.root, "/organizations", &json!({"slug": "a"})).await.refused(409, "already_exists");
}

#[tokio::test]
async fn pages_lead_through_a_list_without_gaps_or_repeats() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    for n in 0..6 {
        world
            .post(&tenant.owner, "/teams", &json!({"name": format!("t{n}")}))
            .await
            .expect(StatusCode::CREATED);
    }
    let (mut seen, mut path) = (Vec::new(), "/teams?limit=3".to_owned());
    loop {
        let page = world.get(&tenant.owner, &path).await.expect(StatusCode::OK);
        seen.extend(page.rows().iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        assert_eq!(page.body["has_more"], page.body["next_cursor"].is_string());
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/teams?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, ["core", "t0", "t1", "t2", "t3", "t4", "t5"]);
    assert_eq!(
        world.get(&tenant.owner, "/teams?limit=0").await.refused(400, "invalid_request").fields(),
        ["limit"]
    );
    assert_eq!(
        world.get(&tenant.owner, "/teams?limit=1001").await.refused(400, "invalid_request").fields(),
        ["limit"]
    );
    assert_eq!(
        world.get(&tenant.owner, "/teams?cursor=x").await.refused(400, "invalid_request").fields(),
        ["cursor"]
    );
    assert_eq!(
        world.get(&tenant.owner, "/teams?limt=3").await.refused(400, "invalid_request").fields(),
        ["limt"]
    );
}
