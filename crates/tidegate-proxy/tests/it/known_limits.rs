//! Rate-limit headers where nobody asks what is left: the limit, which is known, and nothing that is not.

use std::sync::atomic::Ordering;

use tidegate_types::resource::{KeyLimits, KeyStatus, ModelLimits, Organization, Resource, VirtualKey};

use crate::client::{Reply, request, send};
use crate::plain::{OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider, json};
use crate::world::{MODEL, World, budget, openai, organization, team};

const ANTHROPIC: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Everything that a reply's headers tell of rates.
fn told(reply: &Reply) -> Vec<String> {
    let rates = reply.headers.iter().filter(|(name, _)| name.contains("ratelimit"));
    rates.map(|(name, value)| format!("{name}: {value}")).collect()
}

/// The limits in OpenAI's names, and in Anthropic's.
fn limits(requests: u32, tokens: u32) -> (Vec<String>, Vec<String>) {
    let named = |requests_name: &str, tokens_name: &str| {
        vec![format!("{requests_name}: {requests}"), format!("{tokens_name}: {tokens}")]
    };
    (
        named("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"),
        named("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-tokens-limit"),
    )
}

/// The key may make 70 requests, its team use 9,000 tokens, the organization make 50 requests, 30 of them of the
/// model.
fn limit(world: &World) {
    let requests = |n| KeyLimits { requests_per_minute: Some(n), ..KeyLimits::default() };
    let Resource::Organization(own) = organization() else { panic!("an organization") };
    let of_model = ModelLimits { model: MODEL.parse().unwrap(), limits: requests(30) };
    world.put(vec![
        Resource::Key(VirtualKey { limits: requests(70), ..world.virtual_key() }),
        team(KeyLimits { tokens_per_minute: Some(9_000), ..KeyLimits::default() }),
        Resource::Organization(Organization { limits: requests(50), model_limits: vec![of_model], ..own }),
    ]);
}

#[tokio::test]
async fn every_answer_to_a_known_key_tells_its_limits_and_only_what_is_known() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    limit(&world);
    let (openai_names, anthropic_names) = limits(50, 9_000);
    for (path, status) in
        [("/v1/key", 200), ("/v1/models", 200), ("/v1/models/nobody/none", 404), ("/v1/credits", 503)]
    {
        let reply = world.get(path).await;
        assert_eq!((reply.status, told(&reply)), (status, openai_names.clone()), "{path}");
    }
    let unknown = ask().replace(MODEL, "nobody/none");
    for (body, status) in [("{", 400), (r#"{"model":5}"#, 400), (&*unknown, 404)] {
        let reply = world.chat(body).await;
        assert_eq!((reply.status, told(&reply)), (status, openai_names.clone()), "{body}");
        let reply = world.messages(body).await;
        assert_eq!((reply.status, told(&reply)), (status, anthropic_names.clone()), "{body}");
    }
    let bearer = format!("Bearer {}", world.key);
    let listed = request("GET", "/v1/models", &[("authorization", &bearer), ANTHROPIC], "");
    assert_eq!(told(&send(world.address, &listed).await), anthropic_names);
    let job = world.post("/v4/ai/video-model/status", "{}").await;
    assert_eq!((job.status, told(&job)), (400, openai_names.clone()));
    // Whoever is not known is told nothing of anybody.
    for (headers, status) in [(vec![], 200), (vec![("authorization", "Bearer tg_none")], 401)] {
        let reply = send(world.address, &request("GET", "/v1/models", &headers, "")).await;
        assert_eq!((reply.status, told(&reply)), (status, vec![]));
    }
    world.put(vec![Resource::Key(VirtualKey { status: KeyStatus::Paused, ..world.virtual_key() })]);
    for reply in [world.chat(&ask()).await, world.get("/v1/key").await] {
        // Without limits of its own, the organization's stand.
        assert_eq!((reply.status, told(&reply)), (403, openai_names.clone()));
    }
    assert_eq!(peer.count(), 0);
}

#[tokio::test]
async fn a_refusal_after_the_plan_tells_the_models_limit_and_an_admitted_call_what_is_left() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    limit(&world);
    world.authority_away.store(true, Ordering::SeqCst);
    world.put(vec![Resource::Budget(budget(1, "1"))]);
    let (openai_names, anthropic_names) = limits(30, 9_000);
    let (chat, messages) = (world.chat(&ask()).await, world.messages(&ask_anthropic()).await);
    assert_eq!((chat.status, told(&chat)), (503, openai_names));
    assert_eq!((messages.status, told(&messages)), (503, anthropic_names));
    world.authority_away.store(false, Ordering::SeqCst);
    let reply = world.chat(&ask()).await;
    assert_eq!((reply.status, told(&reply).len()), (200, 6), "{reply:?}");
    assert_eq!(reply.header("x-ratelimit-limit-requests"), "30");
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "29");
}
