//! The response cache as callers meet it: what is given again, how it reads, what is asked anew.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_proxy::Settings;
use tidegate_types::NanoUsd;
use tidegate_types::resource::*;
use tidegate_types::usage::CallOutcome;

use crate::client::{Reply, without_note};
use crate::plain::{ANTHROPIC_ANSWER, OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider as Peer, Step, json as answer, stream, whole};
use crate::streams::{ANTHROPIC_STREAM, OPENAI_STREAM, ask_stream};
use crate::world::{MODEL, World, anthropic, offering, openai, policy, provider};

pub(crate) const ON: (&str, &str) = ("x-tidegate-cache", "on");
const CHAT: &str = "/v1/chat/completions";

pub(crate) async fn wished(world: &World, path: &str, body: &str) -> Reply {
    world.post_with(path, &[ON], body).await
}

pub(crate) fn told(reply: &Reply) -> &str {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.header("x-tidegate-cache")
}

/// What the provider said, without what the gateway adds to an answer that costs nothing.
fn bare(reply: &Reply) -> String {
    without_note(&reply.body.replace(",\"cost\":0}", "}"))
}

/// The organization's policy with these rules.
pub(crate) fn rules(cache: CacheRules) -> Vec<Resource> {
    vec![Resource::Policy(Policy { cache, ..policy() })]
}

pub(crate) fn on() -> CacheRules {
    CacheRules { mode: Some(CacheMode::On), ..CacheRules::default() }
}

#[tokio::test]
async fn an_answer_is_given_again_and_nobody_is_called() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let first = wished(&world, CHAT, &ask()).await;
    assert_eq!((told(&first), first.header("age")), ("miss", ""));
    let again = wished(&world, CHAT, &ask()).await;
    assert_eq!((told(&again), peer.count()), ("hit", 1));
    assert!(again.header("age").parse::<u64>().unwrap() < 30, "{again:?}");
    assert_eq!(bare(&again), OPENAI_ANSWER, "byte for byte what the provider said");
    let (made, given) = (world.recorded(1).await, world.recorded(2).await);
    assert_eq!(given.cached_from, Some(made.call_id));
    assert_eq!((given.status, given.outcome, given.cost), (200, CallOutcome::Answered, NanoUsd::ZERO));
    assert_eq!((given.model_id, given.attempts.len(), given.usage.output_tokens), (made.model_id, 0, 0));
    assert_eq!(again.header("x-tidegate-id"), given.call_id.to_string(), "it is a call of its own");
    assert_eq!((made.cached_from, world.finals().len()), (None, 1), "nothing is booked for it");
    let cost = |body: &Value| body["usage"]["cost"].to_string();
    let note = |reply: &Reply| {
        let body: Value = serde_json::from_str(&reply.body.replace("1e400", "1")).unwrap();
        let gateway = body["choices"][0]["message"]["provider_metadata"]["gateway"].clone();
        (cost(&body), gateway["generationId"].clone(), gateway["cost"].clone())
    };
    let (cost, id, said) = note(&again);
    assert_eq!((cost.parse::<f64>().unwrap(), id), (0.0, json!(given.call_id.to_string())));
    assert_ne!(said, note(&first).2, "its own cost is told");
}

#[tokio::test]
async fn a_stream_is_given_again_as_a_stream_and_apart_from_whole_answers() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER), stream(&OPENAI_STREAM)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    assert_eq!(told(&wished(&world, CHAT, &ask()).await), "miss");
    assert_eq!(told(&wished(&world, CHAT, &ask_stream()).await), "miss", "a stream is kept for itself");
    let (again, whole) = (wished(&world, CHAT, &ask_stream()).await, wished(&world, CHAT, &ask()).await);
    assert_eq!((told(&again), told(&whole), peer.count()), ("hit", "hit", 2));
    assert_eq!(bare(&again), OPENAI_STREAM.concat());
    assert!(again.header("content-type").starts_with("text/event-stream"), "{again:?}");
    assert_eq!(again.header("cache-control"), "no-cache");
    assert_eq!(bare(&whole), OPENAI_ANSWER);
    assert!(world.recorded(3).await.cached_from.is_some());
    // In every dialect, from every dialect: what is kept is what the provider said.
    let peer = Peer::start(vec![stream(&ANTHROPIC_STREAM)]).await;
    let world = World::start(&[anthropic("a", &peer)]).await;
    let asked = ask_anthropic().replace(r#""messages""#, r#""stream":true,"messages""#);
    for _ in 0..2 {
        assert_eq!(bare(&wished(&world, "/v1/messages", &asked).await), ANTHROPIC_STREAM.concat());
        let chat = wished(&world, CHAT, &ask_stream()).await;
        assert!(chat.body.contains("Hello") && chat.body.ends_with("data: [DONE]\n\n"), "{chat:?}");
    }
    assert_eq!(peer.count(), 2, "each surface has its own");
}

#[tokio::test]
async fn whole_answers_are_translated_anew() {
    let peer = Peer::start(vec![answer(ANTHROPIC_ANSWER)]).await;
    let world = World::start(&[anthropic("a", &peer)]).await;
    let (first, again) =
        (wished(&world, CHAT, &ask()).await.json(), wished(&world, CHAT, &ask()).await.json());
    assert_eq!(peer.count(), 1);
    assert_eq!(first["choices"][0]["message"]["content"], again["choices"][0]["message"]["content"]);
    assert_eq!(again["usage"]["prompt_tokens"], 12);
    assert_ne!(first["id"], again["id"], "the answer goes by its own call");
}

#[tokio::test]
async fn it_is_switched_on_by_request_route_or_policy_and_off_by_each() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let plain = world.chat(&ask()).await;
    assert_eq!(told(&plain), "", "who does not wish it takes no part");
    assert_eq!(told(&wished(&world, CHAT, &ask()).await), "miss", "and leaves nothing");
    world.put(rules(on()));
    assert_eq!(told(&world.chat(&ask()).await), "hit");
    let off = world.post_with(CHAT, &[("x-tidegate-cache", "off")], &ask()).await;
    assert_eq!((told(&off), peer.count()), ("", 3));
    world.put(rules(CacheRules { mode: Some(CacheMode::Off), ..CacheRules::default() }));
    assert_eq!(told(&wished(&world, CHAT, &ask()).await), "bypass", "off is off");
    world.put(rules(CacheRules::default()));
    let route = |mode, purges| {
        vec![Resource::Route(Route {
            organization_id: crate::world::ORG,
            id: tidegate_types::RouteId::from_u128(1),
            name: "fast".into(),
            targets: vec![RouteTarget { model: MODEL.parse().unwrap(), weight: 1, providers: Vec::new() }],
            fallbacks: Vec::new(),
            attempt_timeout_ms: None,
            total_timeout_ms: None,
            cache: CacheRules { mode, ..CacheRules::default() },
            cache_purges: purges,
            prompt_cache_markers: None,
        })]
    };
    let fast = ask().replace(MODEL, "fast");
    world.put(route(Some(CacheMode::On), 0));
    assert_eq!((told(&world.chat(&fast).await), told(&world.chat(&fast).await)), ("miss", "hit"));
    world.put(route(Some(CacheMode::On), 1));
    assert_eq!(told(&world.chat(&fast).await), "miss", "its part was purged");
    assert_eq!(told(&wished(&world, CHAT, &ask()).await), "hit", "and nothing else");
    world.put(route(Some(CacheMode::Off), 1));
    assert_eq!(told(&wished(&world, CHAT, &fast).await), "bypass");
    let odd = world.post_with(CHAT, &[("x-tidegate-cache", "yes")], &ask()).await;
    assert_eq!((odd.status, odd.json()["error"]["param"].clone()), (400, json!("x-tidegate-cache")));
}

#[tokio::test]
async fn a_request_narrows_what_it_gets_and_leaves() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let with = async |directives| {
        let reply = world.post_with(CHAT, &[ON, ("cache-control", directives)], &ask()).await;
        told(&reply).to_owned()
    };
    assert_eq!(with("no-store").await, "miss");
    assert_eq!(with("no-store").await, "miss", "nothing was left");
    assert_eq!(with("max-age=60").await, "miss");
    assert_eq!(with("max-age=60").await, "hit");
    assert_eq!(with("no-store").await, "hit", "what is there may be given");
    let before = peer.count();
    assert_eq!(with("no-cache").await, "miss", "asked anew");
    assert_eq!(peer.count(), before + 1);
    let young = Instant::now();
    while with("max-age=1").await == "hit" {
        assert!(young.elapsed() < Duration::from_secs(60), "it never becomes too old");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(with("max-age=60").await, "hit", "the new answer took its place");
}

#[tokio::test]
async fn an_answer_is_over_after_its_time() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(rules(CacheRules { ttl_seconds: Some(1), ..on() }));
    let began = Instant::now();
    assert_eq!(told(&world.chat(&ask()).await), "miss");
    while peer.count() == 1 {
        assert!(began.elapsed() < Duration::from_secs(60), "it never is over");
        world.chat(&ask()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(900), "and not before: {:?}", began.elapsed());
}

#[tokio::test]
async fn only_complete_answers_are_kept() {
    let broken = {
        let mut turn = stream(&OPENAI_STREAM[..2]);
        turn.pop();
        turn.push(Step::Reset);
        turn
    };
    let unfinished = stream(&OPENAI_STREAM[..2]);
    let reported =
        stream(&[OPENAI_STREAM[0], "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}\n\n"]);
    let peer = Peer::start(vec![answer("{}")]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![Resource::Policy(Policy { max_attempts: Some(1), cache: on(), ..policy() })]);
    for (turn, body) in [
        (whole(500, "", "{}"), ask()),
        (whole(400, "", r#"{"error":{"message":"m"}}"#), ask()),
        (answer("{}"), ask()),
        (broken, ask_stream()),
        (unfinished, ask_stream()),
        (reported, ask_stream()),
    ] {
        let before = peer.count();
        peer.script(vec![turn]);
        world.chat(&body).await;
        peer.script(vec![if body.contains("stream") {
            stream(&OPENAI_STREAM)
        } else {
            answer(OPENAI_ANSWER)
        }]);
        // Positive control: the next one is kept, if this test purges it again.
        assert_eq!(told(&world.chat(&body).await), "miss");
        assert_eq!((told(&world.chat(&body).await), peer.count()), ("hit", before + 2));
        purge(&world);
    }
}

/// Purges the organization's cache.
fn purge(world: &World) {
    let Resource::Organization(mut organization) = crate::world::organization() else { unreachable!() };
    static PURGES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    organization.cache_purges = PURGES.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    world.put(vec![Resource::Organization(organization)]);
}

#[tokio::test]
async fn a_purge_and_a_changed_provider_end_what_was_kept() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let offer = openai("a", &peer);
    let world = World::start(&[offer]).await;
    world.put(rules(on()));
    assert_eq!((told(&world.chat(&ask()).await), told(&world.chat(&ask()).await)), ("miss", "hit"));
    purge(&world);
    assert_eq!((told(&world.chat(&ask()).await), told(&world.chat(&ask()).await)), ("miss", "hit"));
    world.put(vec![Resource::Provider(Provider { name: "other".into(), ..provider(1, &offer) })]);
    assert_eq!((told(&world.chat(&ask()).await), told(&world.chat(&ask()).await)), ("miss", "hit"));
    let renamed = Offering { upstream_name: "chat-next".into(), ..offering(1, "a") };
    world.put(vec![Resource::Offering(renamed)]);
    assert_eq!((told(&world.chat(&ask()).await), told(&world.chat(&ask()).await)), ("miss", "hit"));
}

#[tokio::test]
async fn what_looks_at_the_world_or_is_kept_elsewhere_is_asked_anew() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(rules(on()));
    let mut searching = offering(1, "a");
    let search = UnitPrice { unit: Unit::Search, price: tidegate_types::PicoUsd::new(1) };
    searching.prices[0].tiers[0].prices.push(search);
    world.put(vec![Resource::Offering(searching)]);
    let with = |extra: Value| {
        let mut body: Value = serde_json::from_str(&ask()).unwrap();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body.to_string()
    };
    for extra in [
        json!({"tools": [{"type": "web_search_20260209"}]}),
        json!({"web_search_options": {}}),
        json!({"store": true}),
        json!({"service_tier": "priority"}),
        json!({"providerOptions": {"gateway": {"byok": {"a": [{"apiKey": "sk-own"}]}}}}),
    ] {
        let body = with(extra.clone());
        for _ in 0..2 {
            let reply = world.chat(&body).await;
            assert_eq!(
                (reply.status, reply.header("x-tidegate-cache")),
                (200, "bypass"),
                "{extra}: {reply:?}"
            );
        }
    }
    // Tools of the caller's own are part of the question.
    let own = with(json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}));
    assert_eq!((told(&world.chat(&own).await), told(&world.chat(&own).await)), ("miss", "hit"));
}

#[tokio::test]
async fn memory_is_bounded_and_what_was_used_last_stays() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    // A quarter for one organization: two answers, not three.
    let of_one = OPENAI_ANSWER.len() + 512;
    let settings = Settings { cache_bytes: of_one * 2 * 4 + 100, ..Settings::default() };
    let world = World::with(&[openai("a", &peer)], settings).await;
    world.put(rules(on()));
    let of = |name: &str| ask().replace("hi", name);
    for (name, expected) in
        [("a", "miss"), ("b", "miss"), ("a", "hit"), ("c", "miss"), ("a", "hit"), ("b", "miss")]
    {
        assert_eq!(told(&world.chat(&of(name)).await), expected, "{name}");
    }
    let metrics = world.metrics.render();
    assert!(metrics.contains("cache_answers 2\n"), "{metrics}");
    assert!(
        metrics.contains("cache_evicted_total 2\n")
            && metrics.contains(r#"cache_lookups_total{result="hit"} 2"#)
    );
    world.put(rules(CacheRules { max_entry_bytes: Some(100), ..on() }));
    for _ in 0..2 {
        assert_eq!(told(&world.chat(&of("d")).await), "miss", "too large to be kept");
    }
    let none = World::with(&[openai("a", &peer)], Settings { cache_bytes: 0, ..Settings::default() }).await;
    none.put(rules(on()));
    assert_eq!(told(&none.chat(&ask()).await), "", "a node without room takes no part");
}
