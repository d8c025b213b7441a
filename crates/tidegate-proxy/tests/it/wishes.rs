//! Model fallbacks, sessions, ranking and health, as callers see them.

use tidegate_types::resource::{Model, Offering, Resource, Route, RouteTarget};
use tidegate_types::{ModelId, OfferingId, RouteId};

use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, Step, json, whole};
use crate::world::{MODEL, ORG, World, offering, openai};

fn with(options: &str) -> String {
    let more = format!(r#""providerOptions":{{"gateway":{options}}},"messages""#);
    ask().replace(r#""messages""#, &more)
}

/// A second model, `acme/spare`, at provider `b`.
fn add_spare(world: &World, model: Model) {
    let spare = Model { id: ModelId::from_u128(9), name: "acme/spare".parse().unwrap(), ..model };
    world.put(vec![
        Resource::Model(spare),
        Resource::Offering(Offering {
            id: OfferingId::from_u128(99),
            model: "acme/spare".parse().unwrap(),
            upstream_name: "spare".into(),
            ..offering(2, "b")
        }),
    ]);
}

#[tokio::test]
async fn another_model_answers_what_the_first_one_cannot_take() {
    let overflow =
        r#"{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
    for status in [400, 413, 422, 500, 429] {
        let (a, b) = (
            Provider::start(vec![whole(status, "", overflow)]).await,
            Provider::start(vec![json(OPENAI_ANSWER)]).await,
        );
        let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
        add_spare(&world, crate::world::model());
        // The main model is at `a` only.
        world.put(vec![Resource::Offering(Offering { enabled: false, ..offering(2, "b") })]);
        let reply = world.chat(&with(r#"{"models":["no-such-model","acme/spare"]}"#)).await;
        assert_eq!(reply.status, 200, "{status}: {}", reply.body);
        assert!(b.last().body.contains(r#""model":"spare""#), "{}", b.last().body);
        let record = world.recorded(1).await;
        assert_eq!((record.attempts.len(), record.model_id), (2, Some(ModelId::from_u128(9))));
        // Without a fallback the caller is told.
        assert_eq!(world.chat(&ask()).await.status, status);
    }
}

#[tokio::test]
async fn every_provider_of_the_main_model_is_tried_before_the_fallback() {
    let bad = whole(500, "", "{}");
    let (a, b) =
        (Provider::start(vec![bad.clone()]).await, Provider::start(vec![bad, json(OPENAI_ANSWER)]).await);
    let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
    add_spare(&world, crate::world::model());
    assert_eq!(world.chat(&with(r#"{"models":["acme/spare"]}"#)).await.status, 200);
    assert_eq!((a.count(), b.count(), world.recorded(1).await.attempts.len()), (1, 2, 3));
}

/// A route of the organization to these targets, named `mix`.
fn mix(targets: Vec<RouteTarget>) -> Route {
    Route {
        organization_id: ORG,
        id: RouteId::from_u128(5),
        name: "mix".into(),
        targets,
        fallbacks: Vec::new(),
        attempt_timeout_ms: None,
        total_timeout_ms: None,
        cache: Default::default(),
        cache_purges: 0,
        prompt_cache_markers: None,
    }
}

fn target(provider: &str) -> RouteTarget {
    RouteTarget { model: MODEL.parse().unwrap(), providers: vec![provider.parse().unwrap()], weight: 1 }
}

#[tokio::test]
async fn a_routes_times_end_its_attempts_and_its_calls_and_nobody_elses() {
    let silent = || Provider::start(vec![vec![Step::UntilHangUp]]);
    let (a, b) = (silent().await, Provider::start(vec![json(OPENAI_ANSWER)]).await);
    let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
    let body = ask().replace(MODEL, "mix");
    // An attempt is given up, the other target answers.
    let fallback = Route { fallbacks: vec![target("b")], ..mix(vec![target("a")]) };
    world.put(vec![Resource::Route(Route { attempt_timeout_ms: Some(1_500), ..fallback })]);
    assert_eq!(world.chat(&body).await.status, 200);
    assert_eq!((a.count(), b.count(), world.recorded(1).await.attempts.len()), (1, 1, 2));
    // The whole call is given up, long before an attempt would be.
    let total =
        Route { total_timeout_ms: Some(1_000), attempt_timeout_ms: Some(50_000), ..mix(vec![target("a")]) };
    world.put(vec![Resource::Route(total)]);
    let began = std::time::Instant::now();
    assert_eq!(world.chat(&body).await.status, 504);
    assert!(began.elapsed() < std::time::Duration::from_secs(40), "{:?}", began.elapsed());
    // They are the route's: a call past it waits as long as the gateway does.
    let bearer = format!("Bearer {}", world.key);
    let only = with(r#"{"only":["a"]}"#);
    let asked = crate::client::request("POST", "/v1/chat/completions", &[("authorization", &bearer)], &only);
    let waiting =
        tokio::time::timeout(std::time::Duration::from_secs(3), crate::client::send(world.address, &asked));
    assert!(waiting.await.is_err(), "no route, no time of a route");
}

#[tokio::test]
async fn a_session_draws_the_same_target_every_time() {
    let (a, b) =
        (Provider::start(vec![json(OPENAI_ANSWER)]).await, Provider::start(vec![json(OPENAI_ANSWER)]).await);
    let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
    world.put(vec![Resource::Route(mix(vec![target("a"), target("b")]))]);
    let body = ask().replace(MODEL, "mix");
    let mut seen = std::collections::BTreeSet::new();
    for session in 0..12 {
        for header in ["x-session-id", "x-session-affinity"] {
            let before = (a.count(), b.count());
            for _ in 0..3 {
                let session = format!("session {session}");
                let headers = [(header, &*session)];
                let reply = world.post_with("/v1/chat/completions", &headers, &body).await;
                assert_eq!(reply.status, 200);
            }
            let after = (a.count() - before.0, b.count() - before.1);
            assert!(after == (3, 0) || after == (0, 3), "{after:?}");
            seen.insert((session, after));
        }
    }
    assert_eq!(seen.len(), 12, "both headers mean the same session");
    assert!(a.count() > 0 && b.count() > 0, "sessions are spread");
}

#[tokio::test]
async fn a_provider_that_keeps_failing_comes_last_and_sort_knows_the_faster_one() {
    let (a, b) =
        (Provider::start(vec![whole(500, "", "{}")]).await, Provider::start(vec![json(OPENAI_ANSWER)]).await);
    let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
    for _ in 0..30 {
        assert_eq!(world.chat(&ask()).await.status, 200);
    }
    assert_eq!((a.count(), b.count()), (3, 30), "degraded after three failures in a row");
    // Asked for first it still comes first, for it is not down.
    assert_eq!(world.chat(&with(r#"{"order":["a"]}"#)).await.status, 200);
    assert_eq!(a.count(), 4);
    // Nothing is known of its speed.
    assert_eq!(world.chat(&with(r#"{"sort":"ttft"}"#)).await.status, 200);
    assert_eq!(world.chat(&with(r#"{"sort":"tps"}"#)).await.status, 200);
    assert_eq!(a.count(), 4);
    for wrong in [r#"{"sort":"speed"}"#, r#"{"has":["wings"]}"#, r#"{"headquarters":["US","!CN"]}"#] {
        assert_eq!(world.chat(&with(wrong)).await.status, 400, "{wrong}");
    }
    assert_eq!(world.chat(&with(r#"{"has":["vision"]}"#)).await.status, 200);
    assert_eq!(world.chat(&with(r#"{"headquarters":["US"]}"#)).await.status, 400);
}
