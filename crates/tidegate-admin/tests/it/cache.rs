//! Rules of the response cache, and its purges.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::World;

#[tokio::test]
async fn rules_are_kept_on_policies_and_routes_and_absurd_ones_refused_by_field() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let rules = json!({"mode": "on", "ttl_seconds": 60, "sharing": "team", "charge_percent": 10});
    for (path, mut body) in [
        ("/policies", json!({"name": "cached"})),
        ("/routes", json!({"name": "fast", "targets": [{"model": "openai/gpt-5"}]})),
    ] {
        body["cache"] = rules.clone();
        body["prompt_cache_markers"] = json!(true);
        let made = world.post(&tenant.owner, path, &body).await.expect(StatusCode::CREATED);
        assert_eq!((&made.body["cache"], &made.body["prompt_cache_markers"]), (&rules, &json!(true)));
        let one = format!("{path}/{}", made.str("/id"));
        let patched = json!({"cache": {"charge_percent": null, "mode": "off"}});
        let after = world.patch(&tenant.owner, &one, &patched).await.expect(StatusCode::OK);
        assert_eq!(after.body["cache"], json!({"mode": "off", "ttl_seconds": 60, "sharing": "team"}));
        for (field, value) in [("ttl_seconds", json!(0)), ("charge_percent", json!(101))] {
            let wrong = json!({"cache": {field: value}});
            let refused = world.patch(&tenant.owner, &one, &wrong).await;
            refused.refused(422, "validation_failed");
        }
        let unknown = json!({"cache": {"shared_with": "everybody"}});
        assert!(world.patch(&tenant.owner, &one, &unknown).await.status.is_client_error());
    }
}

#[tokio::test]
async fn a_purge_is_counted_audited_and_reaches_nobody_else() {
    let world = World::start().await;
    world.catalogue().await;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let route = json!({"name": "fast", "targets": [{"model": "openai/gpt-5"}]});
    let route = world.post(&acme.owner, "/routes", &route).await.expect(StatusCode::CREATED).body;
    let id = route["id"].as_str().unwrap();
    for purges in 1..=2 {
        let all = world.post(&acme.owner, "/cache/purge", &json!({})).await.expect(StatusCode::OK);
        assert_eq!(all.body, json!({"purges": purges}));
        let part =
            world.post(&acme.owner, "/cache/purge", &json!({"route": id})).await.expect(StatusCode::OK);
        assert_eq!(part.body, json!({"route": id, "purges": purges}));
        // What is changed otherwise does not count.
        let one = format!("/routes/{id}");
        world.patch(&acme.owner, &one, &json!({"attempt_timeout_ms": purges})).await.expect(StatusCode::OK);
        let own = format!("/organizations/{}", acme.id);
        world
            .patch(&acme.owner, &own, &json!({"name": format!("Acme {purges}")}))
            .await
            .expect(StatusCode::OK);
    }
    let foreign = world.post(&other.owner, "/cache/purge", &json!({"route": id})).await;
    foreign.refused(404, "not_found");
    let audit = world.get(&acme.owner, "/audit?limit=100").await.expect(StatusCode::OK);
    let purged: Vec<&Value> = audit.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["action"] == "cache.purge")
        .collect();
    assert_eq!(purged.len(), 4, "{audit:?}");
    let theirs = world.post(&other.owner, "/cache/purge", &json!({})).await.expect(StatusCode::OK);
    assert_eq!(theirs.body["purges"], 1, "each organization has its own");
}
