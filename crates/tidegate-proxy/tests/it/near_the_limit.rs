//! How many ordinary calls are refused near a cap although it could have afforded them: measured.

use std::time::Duration;

use futures_util::StreamExt as _;
use tidegate_types::resource::Resource;

use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, Step, json};
use crate::world::{World, budget, openai};

const CALLS: usize = 500;
/// Nano-dollars of a call: 12 input tokens at 1, 400 output tokens at 2. Held for 4,096.
const COST: i64 = 812;

/// So many calls at once with so much left: served, refused, and refused although it fitted.
async fn measure(left: i64, at_once: usize) -> (usize, usize, usize) {
    let answer = OPENAI_ANSWER.replace(r#""completion_tokens":3"#, r#""completion_tokens":400"#);
    let mut turn = vec![Step::Pause(Duration::from_millis(200))];
    turn.extend(json(&answer));
    let peer = Provider::start(vec![turn]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let limit = format!("0.{left:09}");
    world.put(vec![Resource::Budget(budget(1, &limit))]);
    let (world, body) = (&world, &ask());
    let calls = (0..CALLS).map(|_| async move { world.chat(body).await.status });
    let statuses: Vec<u16> = futures_util::stream::iter(calls).buffer_unordered(at_once).collect().await;
    let served = statuses.iter().filter(|status| **status == 200).count();
    let refused = statuses.iter().filter(|status| **status == 402).count();
    assert_eq!(served + refused, CALLS, "{statuses:?}");
    world.assert_settled(Some(budget(1, "1").id)).await;
    let spent = world.balance(budget(1, "1").id).await.spent.get();
    assert!(spent <= left, "{spent} of {left}");
    assert_eq!(spent, COST * i64::try_from(served).unwrap());
    let afforded = CALLS.min(usize::try_from(left / COST).unwrap());
    (served, refused, afforded - served)
}

/// A cap on which 500 ordinary calls hold what they would of 200 USD, at 15 USD a million tokens.
const CAP: i64 = 26_666_667;

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_not_refused_because_each_might_be_long_and_the_rest_is_counted() {
    let mut found = Vec::new();
    for used in [50, 90, 99] {
        for at_once in [CALLS, 32] {
            let (served, refused, falsely) = measure(CAP * (100 - used) / 100, at_once).await;
            println!(
                "{used} % used, {at_once} at once: {served} served, {refused} refused, {falsely} of them falsely"
            );
            found.push((used, at_once, falsely));
        }
    }
    let falsely = |used, at_once| found.iter().find(|one| (one.0, one.1) == (used, at_once)).unwrap().2;
    // With 100 USD left, 500 at once are all served; so are 32 at once with 20 USD left.
    assert_eq!((falsely(50, CALLS), falsely(50, 32), falsely(90, 32)), (0, 0, 0));
}
