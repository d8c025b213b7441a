//! `/v1/models`, `/v1/key`, probes, metrics.

use tidegate_types::resource::{AllowList, Resource, VirtualKey};

use crate::client::{request, send};
use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, json};
use crate::world::{MODEL, World, budget, openai};

async fn world() -> World {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    World::start(&[openai("a", &peer)]).await
}

#[tokio::test]
async fn models_are_listed_for_everybody_and_for_a_key_what_it_may_call() {
    let world = world().await;
    let public = send(world.address, &request("GET", "/v1/models", &[], "")).await;
    assert_eq!((public.status, public.json()["data"][0]["id"].as_str()), (200, Some(MODEL)));
    assert_eq!(world.get("/v1/models").await.json()["data"][0]["object"], "model");
    assert_eq!(world.get("/v1/models/acme%2Fchat").await.json()["id"], MODEL);
    assert_eq!(world.get("/v1/models/acme/chat").await.json()["owned_by"], "acme");
    assert_eq!(world.get("/v1/models/acme/none").await.status, 404);
    let allow = AllowList { models: vec!["other/*".into()], ..AllowList::default() };
    world.put(vec![Resource::Key(VirtualKey { allow, ..world.virtual_key() })]);
    assert_eq!(world.get("/v1/models").await.json()["data"], serde_json::json!([]));
    let wrong = request("GET", "/v1/models", &[("authorization", "Bearer tg_wrong")], "");
    assert_eq!(send(world.address, &wrong).await.status, 401);
}

#[tokio::test]
async fn anthropics_clients_get_their_own_list() {
    let world = world().await;
    let headers = [("x-api-key", world.key.as_str()), ("anthropic-version", "2023-06-01")];
    let reply = send(world.address, &request("GET", "/v1/models?limit=20", &headers, "")).await;
    let list = reply.json();
    assert_eq!((list["data"][0]["type"].as_str(), list["first_id"].as_str()), (Some("model"), Some(MODEL)));
    assert_eq!(
        (list["has_more"].as_bool(), list["data"][0]["display_name"].as_str()),
        (Some(false), Some("Chat"))
    );
    assert!(reply.header("request-id").starts_with("gen_"));
}

#[tokio::test]
async fn a_key_may_know_itself() {
    let world = world().await;
    world.put(vec![Resource::Budget(budget(1, "0.5"))]);
    assert_eq!(world.chat(&ask()).await.status, 200);
    world.recorded(1).await;
    let key = world.get("/v1/key").await.json();
    assert_eq!((key["name"].as_str(), key["team"]["name"].as_str()), (Some("test key"), Some("test team")));
    assert_eq!(key["models"], serde_json::json!([MODEL]));
    let budget = &key["budgets"][0];
    assert_eq!((budget["limit"].as_str(), budget["spent"].as_str()), (Some("0.5"), Some("0.000000018")));
    assert_eq!((budget["held"].as_str(), budget["remaining"].as_str()), (Some("0"), Some("0.499999982")));
    assert!(budget["resets_at"].is_null() && key["expires_at"].is_null());
    assert_eq!(send(world.address, &request("GET", "/v1/key", &[], "")).await.status, 401);
}

#[tokio::test]
async fn probes_and_metrics_tell_the_state() {
    let world = world().await;
    assert_eq!(world.get("/livez").await.status, 200);
    assert_eq!(world.get("/readyz").await.status, 200);
    assert_eq!(world.chat(&ask()).await.status, 200);
    world.recorded(1).await;
    world
        .until(|| {
            let text = world.metrics.render();
            text.contains(r#"tidegate_requests_total{surface="openai_chat",status="200"} 1"#)
                && text.contains("tidegate_requests_in_flight 0")
        })
        .await;
    let text = world.metrics.render();
    for line in [
        r#"tidegate_upstream_attempts_total{outcome="completed"} 1"#,
        "tidegate_time_to_first_event_seconds_count 1",
        "tidegate_limiter_away 0",
        "tidegate_bound_violations_total 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(!line.contains(&world.key) && !line.contains("org_"), "{line}");
    }
}
