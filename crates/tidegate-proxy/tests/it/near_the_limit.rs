//! How many ordinary calls are refused near a cap although it could have afforded them, and what becomes of the
//! answers that meet it: measured.

use std::time::Duration;

use futures_util::StreamExt as _;
use tidegate_proxy::Settings;
use tidegate_types::resource::Resource;

use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Asked, Provider, STREAM_HEAD, Step, Turn, chunk, json};
use crate::world::{World, budget, openai};

const CALLS: usize = 500;
/// Tokens of the answers, in turn, unless less are granted: 400 in the mean. Held for 4,096.
const EQUAL: &[u64] = &[400];
/// Most are short, few are long.
const UNEQUAL: &[u64] = &[20, 800, 60, 300, 1_200, 100, 520, 200];

/// Nano-dollars of a call: 12 input tokens at 1, output tokens at 2.
fn cost(tokens: u64) -> i64 {
    12 + 2 * i64::try_from(tokens).unwrap()
}

/// The answer as a provider gives it that obeys its limit: a token for every four bytes. The question says how long.
fn tokens(asked: &Asked) -> (u64, &'static str) {
    let body = asked.json();
    let granted = body["max_tokens"].as_u64().unwrap_or(u64::MAX);
    let wanted = body["messages"][0]["content"].as_str().unwrap().parse().unwrap();
    if granted < wanted { (granted, "length") } else { (wanted, "stop") }
}

fn whole(asked: &Asked) -> Turn {
    let (tokens, end) = tokens(asked);
    let answer =
        OPENAI_ANSWER.replace(r#""completion_tokens":3"#, &format!(r#""completion_tokens":{tokens}"#));
    let mut turn = vec![Step::Pause(Duration::from_millis(200))];
    turn.extend(json(&answer.replace(r#""finish_reason":"stop""#, &format!(r#""finish_reason":"{end}""#))));
    turn
}

fn streamed(asked: &Asked) -> Turn {
    let (tokens, end) = tokens(asked);
    let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec())];
    let event = |choices: &str, rest: &str| {
        format!(
            r#"data: {{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{choices}]{rest}}}"#
        ) + "\n\n"
    };
    // Longer answers take longer.
    for _ in 0..tokens / 20 {
        let text = "word".repeat(20);
        let choice = format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}"#);
        turn.push(Step::Pause(Duration::from_millis(10)));
        turn.push(Step::Send(chunk(&event(&choice, ""))));
    }
    let last = event(&format!(r#"{{"index":0,"delta":{{}},"finish_reason":"{end}"}}"#), "");
    let usage = format!(r#","usage":{{"prompt_tokens":12,"completion_tokens":{tokens},"total_tokens":1}}"#);
    turn.push(Step::Send(chunk(&(last + &event("", &usage) + "data: [DONE]\n\n"))));
    turn.push(Step::Send(b"0\r\n\r\n".to_vec()));
    turn
}

/// What became of the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Found {
    /// Answered in full.
    served: usize,
    /// Granted less, and so ended for its length.
    shortened: usize,
    /// Ended with an error in the middle.
    cut: usize,
    refused: usize,
    /// Of the refused and cut: so many would have fitted.
    falsely: usize,
}

impl Found {
    /// All are answered in full: none refused, cut off, or granted less than it needed.
    fn all_are_served(&self) -> bool {
        self.served == CALLS
    }
}

/// So many calls at once, whose answers are so long, with so much left.
async fn measure(left: i64, at_once: usize, lengths: &[u64], stream: bool) -> Found {
    let peer = Provider::start(vec![vec![Step::Reply(if stream { streamed } else { whole })]]).await;
    // Who waits, waits for others' ends, which come late where others use the machine too.
    let settings = Settings { budget_patience: Duration::from_secs(60), ..Settings::default() };
    let world = World::with(&[openai("a", &peer)], settings).await;
    let limit = format!("0.{left:09}");
    world.put(vec![Resource::Budget(budget(1, &limit))]);
    let world = &world;
    let calls = (0..CALLS).map(|number| async move {
        let length = lengths[number % lengths.len()];
        let body = ask().replace(r#""hi""#, &format!(r#""{length}""#));
        let body = if stream { body.replace(r#""messages""#, r#""stream":true,"messages""#) } else { body };
        (length, world.chat(&body).await)
    });
    let replies: Vec<_> = futures_util::stream::iter(calls).buffer_unordered(at_once).collect().await;
    let (mut found, mut missed) = (Found::default(), Vec::new());
    for (length, reply) in &replies {
        match reply.status {
            402 => {
                found.refused += 1;
                missed.push(cost(*length));
            }
            200 if reply.body.contains("quota_for_entity_exceeded") => {
                found.cut += 1;
                missed.push(cost(*length));
            }
            200 if reply.body.contains(r#""finish_reason":"length""#) => found.shortened += 1,
            200 => found.served += 1,
            other => panic!("{other}: {reply:?}"),
        }
    }
    world.recorded(CALLS).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    let spent = world.balance(budget(1, "1").id).await.spent.get();
    assert!(spent <= left, "{spent} of {left}");
    // As many as the rest would have paid for, the cheapest first.
    missed.sort_unstable();
    let fits = missed.iter().scan(left - spent, |rest, cost| {
        *rest -= cost;
        (*rest >= 0).then_some(())
    });
    found.falsely = fits.count();
    found
}

/// A cap on which 500 ordinary calls hold what they would of 200 USD, at 15 USD a million tokens.
const CAP: i64 = 26_666_667;

/// 32 at once takes long, for those that are refused wait first: `./test-full` only.
fn at_once() -> Vec<usize> {
    let all = std::env::var_os("TIDEGATE_FULL").is_some_and(|value| value == "1");
    if all { vec![CALLS, 32] } else { vec![CALLS] }
}

/// At 50, 90 and 99 % of the cap; how much was used, and how many called at once.
async fn at_three_points(lengths: &[u64], stream: bool) -> Vec<(i64, usize, Found)> {
    let mut found = Vec::new();
    for used in [50, 90, 99] {
        for at_once in at_once() {
            let one = measure(CAP * (100 - used) / 100, at_once, lengths, stream).await;
            println!(
                "{used} % used, {at_once} at once, {} lengths, streamed: {stream}: {one:?}",
                lengths.len()
            );
            found.push((used, at_once, one));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_not_refused_because_each_might_be_long_and_the_rest_is_counted() {
    for stream in [false, true] {
        let found = at_three_points(EQUAL, stream).await;
        let of = |used, at_once| found.iter().find(|one| (one.0, one.1) == (used, at_once)).unwrap().2;
        // With 100 USD left, and with 20, all are served, 500 at once or 32.
        for at_once in at_once() {
            let all = [50, 90].iter().all(|used| of(*used, at_once).all_are_served());
            assert!(all, "{at_once} at once, streamed: {stream}: {found:?}");
        }
        // With 2 USD left 328 fit: fewer than a tenth of them are refused although they fit, and hardly any
        // answer is cut.
        for at_once in at_once() {
            let one = of(99, at_once);
            assert!(one.falsely < 33 && one.cut < 5, "{at_once} at once, streamed: {stream}: {found:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_are_calls_whose_answers_differ_sixtyfold_in_length() {
    for stream in [false, true] {
        for (used, at_once, found) in at_three_points(UNEQUAL, stream).await {
            let served = found.all_are_served();
            assert!(used == 99 || served, "{used} %, {at_once} at once, streamed: {stream}: {found:?}");
        }
    }
}
