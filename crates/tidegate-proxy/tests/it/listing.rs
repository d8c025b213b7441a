//! `/v1/models`, `/v1/key`, probes, metrics.

use tidegate_types::PicoUsd;
use tidegate_types::resource::{AllowList, PriceTier, Resource, Unit, UnitPrice, VirtualKey};

use crate::client::{request, send};
use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, json};
use crate::world::{MODEL, World, budget, offering, openai};

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

#[tokio::test]
async fn prices_are_shown_with_tiers_and_each_provider_with_its_own() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer), openai("b", &peer)]).await;
    let tier = |from_input_tokens, input, cached| PriceTier {
        from_input_tokens,
        prices: [
            (Unit::InputToken, input),
            (Unit::OutputToken, 10_000_000),
            (Unit::CachedInputToken, cached),
        ]
        .map(|(unit, pico)| UnitPrice { unit, price: PicoUsd::new(pico) })
        .to_vec(),
    };
    let mut tiered = offering(1, "a");
    tiered.prices[0].tiers = vec![tier(0, 1_250_000, 125_000), tier(200_001, 2_500_000, 250_000)];
    tiered.max_output_tokens = Some(77);
    world.put(vec![Resource::Offering(tiered)]);
    let model = world.get("/v1/models/acme/chat").await.json();
    // Both are asked first by what a call costs; only one of them has tiers.
    let endpoints = world.get("/v1/models/acme%2Fchat/endpoints").await.json();
    assert_eq!(endpoints["data"]["id"], MODEL);
    let find = |slug: &str| {
        let all = endpoints["data"]["endpoints"].as_array().unwrap();
        all.iter().find(|endpoint| endpoint["provider_name"] == slug).unwrap().clone()
    };
    assert_eq!(find("a")["pricing"]["prompt"], "0.00000125");
    assert_eq!(find("a")["pricing"]["input_cache_read"], "0.000000125");
    assert_eq!(find("a")["max_completion_tokens"], 77);
    assert_eq!(find("b")["pricing"]["completion"], "0.000000002");
    assert_eq!(model["pricing"], serde_json::json!({"input": "0.000000001", "output": "0.000000002"}));
    let mut cheap = offering(2, "b");
    cheap.enabled = false;
    world.put(vec![Resource::Offering(cheap)]);
    let pricing = world.get("/v1/models/acme/chat").await.json()["pricing"].clone();
    assert_eq!(
        pricing["input_tiers"],
        serde_json::json!([{"cost": "0.00000125", "min": 0, "max": 200_001}, {"cost": "0.0000025", "min": 200_001}])
    );
    let config = world.get("/v4/ai/config").await.json();
    assert_eq!(config["models"][0]["pricing"]["input_cache_read"], "0.000000125");
    assert_eq!(world.get("/v1/models/acme/none/endpoints").await.status, 404);
}
