//! Rates and slots: refused with 429, told in the headers of every answer.

use std::time::Duration;

use tidegate_types::resource::{KeyLimits, Resource, VirtualKey};
use tidegate_types::usage::{CallOutcome, RefusalCause};

use crate::plain::{OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider, Step, json};
use crate::world::{World, openai, team};

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
