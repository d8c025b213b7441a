//! Rates and slots: refused with 429, told in the headers of every answer.

use std::time::Duration;

use tidegate_types::resource::{
    KeyLimits, Model, ModelLimits, Offering, Organization, Resource, Route, RouteTarget, VirtualKey,
};
use tidegate_types::usage::{CallOutcome, RefusalCause};

use crate::plain::{OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider, Step, json};
use crate::world::{MODEL, ORG, World, model, openai, organization, team};

fn limited(world: &World, limits: KeyLimits) {
    world.put(vec![Resource::Key(VirtualKey { limits, ..world.virtual_key() })]);
}

#[tokio::test]
async fn requests_above_the_rate_are_refused_in_the_callers_dialect() {
    let peer = Provider::start(vec![json(&OPENAI_ANSWER.replace("1e400", "1"))]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    limited(&world, KeyLimits { requests_per_minute: Some(2), ..KeyLimits::default() });
    let first = world.chat(&ask()).await;
    assert_eq!((first.status, first.header("x-ratelimit-limit-requests")), (200, "2"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), "1");
    let second = world.messages(&ask_anthropic()).await;
    assert_eq!((second.status, second.header("anthropic-ratelimit-requests-remaining")), (200, "0"));
    let third = world.chat(&ask()).await;
    assert_eq!((third.status, third.json()["error"]["type"].as_str()), (429, Some("rate_limit_exceeded")));
    let wait: u64 = third.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(third.header("x-ratelimit-remaining-requests"), "0");
    let fourth = world.messages(&ask_anthropic()).await;
    assert_eq!((fourth.status, fourth.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert_eq!(peer.count(), 2);
    let record = world.recorded(4).await;
    assert_eq!(record.outcome, CallOutcome::Refused { cause: RefusalCause::RateLimit, budget_id: None });
}

#[tokio::test]
async fn a_team_shares_its_limits_and_tokens_are_corrected_by_what_was_used() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![team(KeyLimits { tokens_per_minute: Some(5_000), ..KeyLimits::default() })]);
    // Thousands of tokens are reserved and 15 used: the refund lets the next ones in.
    for number in 1..=5 {
        let reply = world.chat(&ask()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("x-ratelimit-limit-tokens"), "5000");
        world.recorded(number).await;
    }
}

#[tokio::test]
async fn slots_come_back_when_the_answer_is_over() {
    let mut slow = vec![Step::Pause(Duration::from_millis(400))];
    slow.extend(json(OPENAI_ANSWER));
    let peer = Provider::start(vec![slow]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    limited(&world, KeyLimits { concurrency: Some(1), ..KeyLimits::default() });
    let ask = ask();
    let first = world.chat(&ask);
    let second = async {
        world.until(|| peer.count() == 1).await;
        world.chat(&ask).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status, second.status), (200, 429));
    world.recorded(2).await;
    assert_eq!(world.chat(&ask).await.status, 200);
}

fn organization_limits(world: &World, limits: KeyLimits, model_limits: Vec<ModelLimits>) {
    let Resource::Organization(own) = organization() else { panic!("an organization") };
    world.put(vec![Resource::Organization(Organization { limits, model_limits, ..own })]);
}

#[tokio::test]
async fn an_organization_and_each_of_its_models_have_limits_and_a_refusal_names_the_one_that_was_met() {
    let peer = Provider::start(vec![json(&OPENAI_ANSWER.replace("1e400", "1"))]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let two = KeyLimits { requests_per_minute: Some(2), ..KeyLimits::default() };
    let message =
        |reply: &crate::client::Reply| reply.json()["error"]["message"].as_str().unwrap().to_owned();
    organization_limits(&world, two, Vec::new());
    for status in [200, 200, 429] {
        assert_eq!(world.chat(&ask()).await.status, status);
    }
    let refused = world.chat(&ask()).await;
    assert_eq!(refused.json()["error"]["code"], "requests_per_minute");
    assert!(
        message(&refused).contains("2 requests per minute of the organization is used up"),
        "{refused:?}"
    );

    let world = World::start(&[openai("a", &peer)]).await;
    organization_limits(
        &world,
        KeyLimits::default(),
        vec![ModelLimits { model: MODEL.parse().unwrap(), limits: two }],
    );
    let first = world.chat(&ask()).await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining-requests")), (200, "1"));
    assert_eq!(world.chat(&ask()).await.status, 200);
    let refused = world.chat(&ask()).await;
    assert_eq!(refused.status, 429);
    assert!(message(&refused).contains(&format!("of the organization for model {MODEL}")), "{refused:?}");
}

#[tokio::test]
async fn a_fallback_to_another_model_passes_that_models_limits() {
    // The first model's provider fails every time, the second one's answers.
    let (bad, good) = (
        Provider::start(vec![vec![Step::Close]]).await,
        Provider::start(vec![json(&OPENAI_ANSWER.replace("1e400", "1"))]).await,
    );
    let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
    let other: tidegate_types::ModelName = "acme/other".parse().unwrap();
    let route = Route {
        organization_id: ORG,
        id: tidegate_types::RouteId::from_u128(1),
        name: "careful".into(),
        targets: vec![RouteTarget {
            model: MODEL.parse().unwrap(),
            providers: vec!["a".parse().unwrap()],
            weight: 1,
        }],
        fallbacks: vec![RouteTarget { model: other.clone(), providers: Vec::new(), weight: 1 }],
        attempt_timeout_ms: None,
        total_timeout_ms: None,
        cache: Default::default(),
        cache_purges: 0,
        prompt_cache_markers: None,
    };
    let id = tidegate_types::ModelId::from_u128(2);
    world.put(vec![
        Resource::Model(Model { id, name: other.clone(), ..model() }),
        Resource::Offering(Offering { model: other.clone(), ..crate::world::offering(2, "b") }),
        Resource::Route(route),
    ]);
    let one = KeyLimits { requests_per_minute: Some(1), ..KeyLimits::default() };
    organization_limits(&world, KeyLimits::default(), vec![ModelLimits { model: other, limits: one }]);
    let body = ask().replace(MODEL, "careful");
    assert_eq!(world.chat(&body).await.status, 200);
    // The second call's fallback is over the limit: what the first attempt met is told, and nothing is sent.
    assert_eq!(world.chat(&body).await.status, 502);
    assert_eq!((bad.count(), good.count()), (2, 1));
}
