//! Holds that grow with their streams: what is held, what is written of it, and what becomes of a stream
//! for which no budget has more.

use std::time::Duration;

use tidegate_types::NanoUsd;
use tidegate_types::resource::{AbortBilling, Budget, Resource};
use tidegate_types::usage::{BillingEvent, CallOutcome, EventKind, MeterMethod, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Reply, request};
use crate::plain::{OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider, STREAM_HEAD, Step, Turn, chunk, json};
use crate::world::{Offer, World, budget, openai};

/// A chunk with so many bytes of text.
fn piece(bytes: usize) -> String {
    let text = "Z".repeat(bytes);
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

/// So many pieces with a pause before each, and an end that tells a token for every four bytes.
fn paced(pieces: usize, bytes: usize, pause: u64) -> Turn {
    let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec())];
    for _ in 0..pieces {
        turn.push(Step::Pause(Duration::from_millis(pause)));
        turn.push(Step::Send(chunk(&piece(bytes))));
    }
    let tokens = pieces * bytes / 4;
    let end = format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{{\"prompt_tokens\":12,\"completion_tokens\":{tokens},\"total_tokens\":1}}}}\n\ndata: [DONE]\n\n"
    );
    turn.push(Step::Send(chunk(&end)));
    turn.push(Step::Send(b"0\r\n\r\n".to_vec()));
    turn
}

fn streamed() -> String {
    ask().replace(r#""messages""#, r#""stream":true,"messages""#)
}

fn limited(tokens: u64) -> String {
    streamed().replace(r#""messages""#, &format!(r#""max_tokens":{tokens},"messages""#))
}

/// As many answers tell how long they are.
const ENOUGH: usize = 16;

/// A gateway that knows how long answers are: short, so that a first step is for 512 tokens and the lag.
async fn warm(turn: Turn) -> (World, Provider) {
    let mut turns = vec![json(&OPENAI_ANSWER.replace("1e400", "1")); ENOUGH];
    turns.push(turn);
    let peer = Provider::start(turns).await;
    let world = World::start(&[openai("a", &peer)]).await;
    for _ in 0..ENOUGH {
        assert_eq!(world.chat(&ask()).await.status, 200);
    }
    world.recorded(ENOUGH).await;
    world.journal.events.lock().clear();
    world.journal.calls.lock().clear();
    (world, peer)
}

fn with(world: &World, limit: i64) {
    world.put(vec![Resource::Budget(Budget { limit: NanoUsd::new(limit), ..budget(1, "1") })]);
}

fn intents(world: &World) -> Vec<BillingEvent> {
    world.journal.events.lock().iter().filter(|event| event.kind == EventKind::Intent).cloned().collect()
}

fn amounts(world: &World) -> Vec<i64> {
    intents(world).iter().map(|event| event.holds[0].amount.get()).collect()
}

/// Input is at most so many tokens, and so much is held with all of 4,096 tokens of output.
async fn whole(world: &World) -> i64 {
    with(world, 1_000_000_000);
    assert_eq!(world.chat(&ask()).await.status, 200);
    world.recorded(1).await;
    let held = amounts(world)[0];
    world.journal.events.lock().clear();
    held
}

#[tokio::test]
async fn a_hold_grows_with_its_stream_and_each_step_is_written_before_it_counts() {
    let (world, peer) = warm(paced(40, 64, 5)).await;
    // Room for ten whole holds: little enough for steps.
    with(&world, 80_000);
    let reply = world.chat(&streamed()).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.ends_with("data: [DONE]\n\n"), "{reply:?}");
    assert_eq!(peer.last().json()["max_tokens"], 4096);
    world.recorded(1).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    let (steps, amounts) = (intents(&world), amounts(&world));
    assert!(amounts.len() > 2 && amounts.is_sorted(), "{amounts:?}");
    assert!(steps.iter().map(|event| event.step).is_sorted_by(|one, next| one < next), "{steps:?}");
    // The first one is for 576 tokens of output, not for 4,096; the last one covers every byte that came.
    assert!((1_152..1_400).contains(&amounts[0]), "{amounts:?}");
    let last = world.finals().pop().unwrap();
    assert_eq!((last.outcome, last.method), (Outcome::Completed, MeterMethod::Reported));
    assert_eq!((last.holds[0].amount.get(), last.step), (*amounts.last().unwrap(), 0));
    assert!(*amounts.last().unwrap() >= 2 * 40 * 64, "{amounts:?}");
    assert_eq!(last.cost, NanoUsd::new(12 + 2 * 640));
    assert_eq!(world.balance(budget(1, "1").id).await.spent, last.cost);
}

#[tokio::test]
async fn an_ample_budget_holds_a_stream_whole_and_so_does_what_cannot_be_metered_or_stopped() {
    let turn = || paced(3, 16, 0);
    let peer = Provider::start(vec![json(OPENAI_ANSWER), turn()]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let held = whole(&world).await;
    assert_eq!(world.chat(&streamed()).await.status, 200);
    world.recorded(2).await;
    // "stream" is part of what the input is bounded by.
    assert!((held..held + 20).contains(&amounts(&world)[0]));
    let goes_on = Offer { abort_billing: AbortBilling::Continues, ..openai("a", &peer) };
    let world = World::start(&[goes_on]).await;
    with(&world, 80_000);
    known(&world, 80_000).await;
    assert_eq!(world.chat(&streamed()).await.status, 200);
    world.recorded(ENOUGH + 1).await;
    assert!(amounts(&world).iter().all(|amount| *amount >= held), "{:?}", amounts(&world));
    let world = World::start(&[openai("a", &peer)]).await;
    known(&world, 80_000).await;
    assert!(
        amounts(&world).iter().all(|amount| *amount >= held),
        "few answers tell nothing: {:?}",
        amounts(&world)
    );
    assert_eq!(world.chat(&streamed()).await.status, 200);
    world.recorded(ENOUGH + 1).await;
    assert!(amounts(&world)[ENOUGH] < held, "{:?}", amounts(&world));
    // How long answers are is known now; but from here on not all of them is seen.
    let before = amounts(&world).len();
    world.hide_output();
    assert_eq!(world.chat(&streamed()).await.status, 200);
    world.recorded(ENOUGH + 2).await;
    assert!(amounts(&world).len() == before + 1 && amounts(&world)[before] >= held);
    assert_eq!(world.chat(&streamed()).await.status, 200);
}

/// Streams until it is known how long answers are.
async fn known(world: &World, limit: i64) {
    with(world, limit);
    for calls in 1..=ENOUGH {
        assert_eq!(world.chat(&streamed()).await.status, 200);
        world.recorded(calls).await;
    }
}

/// What was spent and may be billed besides is within the limit, and what the call cost is what came.
async fn assert_cut(world: &World, peer: &Provider, reply: &Reply, limit: i64) {
    assert_eq!(reply.status, 200);
    let record = world.recorded(1).await;
    assert_eq!(record.outcome, CallOutcome::Broken);
    world.until(|| peer.hang_ups.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    let last = world.finals().pop().unwrap();
    assert_eq!((last.outcome, last.method), (Outcome::Interrupted, MeterMethod::Counted));
    let seen = reply.body.matches('Z').count() as i64;
    assert!(last.cost.get() >= 2 * seen && last.cost <= last.holds[0].amount, "{seen}: {last:?}");
    let balance = world.balance(budget(1, "1").id).await;
    assert!(balance.spent == last.cost && balance.spent.get() <= limit, "{balance:?}");
    assert!(!world.metrics.render().contains("tidegate_bound_violations_total 1"));
}

#[tokio::test]
async fn a_stream_for_which_no_budget_has_more_ends_with_an_error_in_its_dialect_and_is_cut_off() {
    let mut turn = paced(400, 32, 2);
    turn.truncate(turn.len() - 2);
    turn.push(Step::UntilHangUp);
    let (world, peer) = warm(turn.clone()).await;
    with(&world, 4_000);
    // It names its own limit: all that it may use is 8,000.
    let reply = world.chat(&limited(4_000)).await;
    assert_cut(&world, &peer, &reply, 4_000).await;
    let last = reply.body.trim_end().rsplit("data: ").next().unwrap();
    let error: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{reply:?}"));
    assert_eq!(error["error"]["type"], "quota_for_entity_exceeded", "{error}");
    assert!(!reply.body.contains("[DONE]"));
    // A good deal of what there was has been used: not half of it is lost to caution.
    assert!(world.balance(budget(1, "1").id).await.spent.get() > 2_500);

    let (world, peer) = warm(turn).await;
    with(&world, 4_000);
    let body = ask_anthropic().replace("100", "4000").replace(r#""messages""#, r#""stream":true,"messages""#);
    let reply = world.messages(&body).await;
    assert_cut(&world, &peer, &reply, 4_000).await;
    assert!(reply.body.contains("event: error") && reply.body.contains("billing_error"), "{reply:?}");
}

#[tokio::test]
async fn a_caller_that_does_not_read_makes_no_provider_write_more_than_is_held() {
    // More than all buffers on the way take, as fast as they take it.
    let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec()), Step::Send(chunk(&piece(100)))];
    turn.extend((0..400_000).map(|_| Step::Send(chunk(&piece(1)))));
    turn.push(Step::UntilHangUp);
    let (world, peer) = warm(turn).await;
    with(&world, 60_000);
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let bearer = format!("Bearer {}", world.key);
    let body = limited(10_000);
    let headers = [("authorization", &*bearer)];
    socket.write_all(&request("POST", "/v1/chat/completions", &headers, &body)).await.unwrap();
    let mut first = [0; 16];
    socket.read_exact(&mut first).await.unwrap();
    // It reads no further. The provider is cut off, or all that it may write is held.
    world
        .until(|| {
            let cut = peer.hang_ups.load(std::sync::atomic::Ordering::SeqCst) == 1;
            cut || intents(&world).last().is_some_and(|event| event.holds[0].amount.get() >= 20_000)
        })
        .await;
    drop(socket);
    world.recorded(1).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    assert!(world.balance(budget(1, "1").id).await.spent.get() <= 60_000);
}

#[tokio::test]
async fn without_a_limit_of_its_own_a_stream_is_granted_what_the_budget_affords() {
    let (world, peer) = warm(paced(20, 64, 3)).await;
    // Room for a first step, not for all of 4,096 tokens: the whole grant is asked for, step by step.
    with(&world, 5_000);
    let reply = world.chat(&streamed()).await;
    assert!(reply.status == 200 && reply.body.contains("[DONE]"), "{reply:?}");
    assert_eq!(peer.last().json()["max_tokens"], 4096);
    world.recorded(1).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    // Not even for a first step: what is left is granted, held whole and sent as the limit.
    with(&world, 12 + 2 * 320 + 400);
    let reply = world.chat(&streamed()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let granted = peer.last().json()["max_tokens"].as_u64().unwrap();
    assert!((64..200).contains(&granted), "{granted}");
    world.recorded(2).await;
    let last = intents(&world).pop().unwrap();
    assert_eq!(last.step, 0);
    assert!(last.holds[0].amount.get() >= i64::try_from(2 * granted).unwrap());
}

#[tokio::test]
async fn a_step_that_cannot_be_written_down_is_not_used() {
    let mut turn = paced(400, 32, 2);
    turn.truncate(turn.len() - 2);
    turn.push(Step::UntilHangUp);
    let (world, peer) = warm(turn).await;
    with(&world, 80_000);
    let journal = world.journal.clone();
    *world.journal.after_intent.lock() =
        Some(Box::new(move || journal.full.store(true, std::sync::atomic::Ordering::SeqCst)));
    let reply = world.chat(&limited(4_000)).await;
    assert_cut(&world, &peer, &reply, 80_000).await;
    assert_eq!(intents(&world).len(), 1);
}
