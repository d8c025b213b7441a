//! A caller that leaves at any point: its call is settled once, and by the right amount.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_types::NanoUsd;
use tidegate_types::resource::AbortBilling;
use tidegate_types::usage::{CallOutcome, MeterMethod, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::request;
use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, STREAM_HEAD, Step, Turn, chunk, json, open_stream};
use crate::streams::{OPENAI_STREAM, ask_stream};
use crate::world::{Offer, World, budget, openai};

/// Asks, reads until `wanted` has come, and leaves.
async fn leave_after(world: &World, body: &str, wanted: &str) {
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let bearer = format!("Bearer {}", world.key);
    let bytes = request("POST", "/v1/chat/completions", &[("authorization", &bearer)], body);
    socket.write_all(&bytes).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(wanted) {
        let mut some = [0; 1024];
        let read = socket.read(&mut some).await.unwrap();
        assert!(read > 0, "closed before {wanted:?} came");
        seen.extend_from_slice(&some[..read]);
    }
}

fn paced(pieces: &[&str]) -> Turn {
    let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec())];
    for piece in pieces {
        turn.extend([Step::Send(chunk(piece)), Step::Pause(Duration::from_millis(40))]);
    }
    turn
}

fn marker(index: usize) -> &'static str {
    [r#""content":"Hel""#, r#""content":"lo""#, r#""finish_reason":"stop""#, r#""usage""#, "[DONE]"][index]
}

#[tokio::test]
async fn where_an_abort_stops_billing_the_provider_is_cut_off_and_what_was_seen_is_charged() {
    for index in 0..2 {
        let mut turn = open_stream(&OPENAI_STREAM[..=index]);
        turn.push(Step::UntilHangUp);
        let peer = Provider::start(vec![turn]).await;
        let world = World::start(&[openai("a", &peer)]).await;
        world.put(vec![tidegate_types::resource::Resource::Budget(budget(1, "1"))]);
        leave_after(&world, &ask_stream(), marker(index)).await;
        world.until(|| peer.hang_ups.load(Ordering::SeqCst) == 1).await;
        let record = world.recorded(1).await;
        assert_eq!(record.outcome, CallOutcome::Disconnected);
        let finals = world.finals();
        assert_eq!(finals.len(), 1);
        assert_eq!((finals[0].outcome, finals[0].method), (Outcome::Interrupted, MeterMethod::Counted));
        assert!(finals[0].usage.output_tokens >= 2 && finals[0].cost > NanoUsd::ZERO, "{:?}", finals[0]);
        let spent = world.balance(budget(1, "1").id).await.spent;
        assert_eq!(spent, finals[0].cost);
        world.assert_settled(Some(budget(1, "1").id)).await;
    }
}

#[tokio::test]
async fn where_billing_goes_on_the_answer_is_read_to_its_end_and_charged_exactly() {
    for index in 0..OPENAI_STREAM.len() {
        let mut turn = paced(&OPENAI_STREAM);
        turn.push(Step::Send(b"0\r\n\r\n".to_vec()));
        let peer = Provider::start(vec![turn]).await;
        let world =
            World::start(&[Offer { abort_billing: AbortBilling::Continues, ..openai("a", &peer) }]).await;
        world.put(vec![tidegate_types::resource::Resource::Budget(budget(1, "1"))]);
        leave_after(&world, &ask_stream(), marker(index)).await;
        world.recorded(1).await;
        let finals = world.finals();
        assert_eq!(finals.len(), 1, "left after {index}");
        assert_eq!((finals[0].outcome, finals[0].method), (Outcome::Completed, MeterMethod::Reported));
        assert_eq!(finals[0].cost, NanoUsd::new(18));
        assert_eq!(world.balance(budget(1, "1").id).await.spent, NanoUsd::new(18));
        world.assert_settled(Some(budget(1, "1").id)).await;
        assert_eq!(peer.hang_ups.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_begins_is_settled_too() {
    for (abort_billing, stream) in [
        (AbortBilling::Stops, false),
        (AbortBilling::Stops, true),
        (AbortBilling::Continues, false),
        (AbortBilling::Continues, true),
    ] {
        let mut turn = vec![Step::Pause(Duration::from_millis(300))];
        turn.extend(if stream { crate::provider::stream(&OPENAI_STREAM) } else { json(OPENAI_ANSWER) });
        if abort_billing == AbortBilling::Stops {
            turn = vec![Step::UntilHangUp];
        }
        let peer = Provider::start(vec![turn]).await;
        let world = World::start(&[Offer { abort_billing, ..openai("a", &peer) }]).await;
        world.put(vec![tidegate_types::resource::Resource::Budget(budget(1, "1"))]);
        let body = if stream { ask_stream() } else { ask() };
        let mut socket = TcpStream::connect(world.address).await.unwrap();
        let bearer = format!("Bearer {}", world.key);
        let bytes = request("POST", "/v1/chat/completions", &[("authorization", &bearer)], &body);
        socket.write_all(&bytes).await.unwrap();
        world.until(|| peer.count() == 1).await;
        drop(socket);
        assert_eq!(world.recorded(1).await.outcome, CallOutcome::Disconnected);
        let (last, balance) = (world.finals().pop().unwrap(), world.balance(budget(1, "1").id).await);
        if abort_billing == AbortBilling::Stops {
            world.until(|| peer.hang_ups.load(Ordering::SeqCst) == 1).await;
            assert_eq!(last.outcome, Outcome::Unresolved);
            assert_eq!(balance.unresolved, last.holds[0].amount);
        } else {
            assert_eq!((last.outcome, last.cost), (Outcome::Completed, NanoUsd::new(18)));
            assert_eq!(balance.spent, NanoUsd::new(18));
        }
        world.assert_settled(Some(budget(1, "1").id)).await;
        assert_eq!(world.finals().len(), 1);
    }
}

#[tokio::test]
async fn hidden_output_that_is_cut_stays_held_in_full() {
    let mut turn = open_stream(&OPENAI_STREAM[..1]);
    turn.push(Step::UntilHangUp);
    let peer = Provider::start(vec![turn]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.hide_output();
    world.put(vec![tidegate_types::resource::Resource::Budget(budget(1, "1"))]);
    leave_after(&world, &ask_stream(), marker(0)).await;
    world.recorded(1).await;
    let last = world.finals().pop().unwrap();
    assert_eq!((last.outcome, last.cost), (Outcome::Unresolved, NanoUsd::ZERO));
    let balance = world.balance(budget(1, "1").id).await;
    assert_eq!((balance.spent, balance.unresolved), (NanoUsd::ZERO, last.holds[0].amount));
}

#[tokio::test]
async fn where_billing_goes_on_behind_a_break_the_whole_hold_stays() {
    let mut turn = open_stream(&OPENAI_STREAM[..2]);
    turn.push(Step::Reset);
    let peer = Provider::start(vec![turn]).await;
    let world = World::start(&[Offer { abort_billing: AbortBilling::Continues, ..openai("a", &peer) }]).await;
    // Without a strict budget what was seen is charged.
    world.chat(&ask_stream()).await;
    world.recorded(1).await;
    let last = world.finals().pop().unwrap();
    assert_eq!((last.outcome, last.method), (Outcome::Interrupted, MeterMethod::Counted));
    world.put(vec![tidegate_types::resource::Resource::Budget(budget(1, "1"))]);
    world.chat(&ask_stream()).await;
    world.recorded(2).await;
    let last = world.finals().pop().unwrap();
    assert_eq!((last.outcome, last.cost), (Outcome::Unresolved, NanoUsd::ZERO));
    let balance = world.balance(budget(1, "1").id).await;
    assert_eq!((balance.spent, balance.unresolved), (NanoUsd::ZERO, last.holds[0].amount));
}

#[tokio::test]
async fn hidden_output_without_reported_usage_stays_held_in_full() {
    let peer = Provider::start(vec![crate::provider::stream(&[
        OPENAI_STREAM[0],
        OPENAI_STREAM[1],
        OPENAI_STREAM[2],
        OPENAI_STREAM[4],
    ])])
    .await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.hide_output();
    world.put(vec![tidegate_types::resource::Resource::Budget(budget(1, "1"))]);
    assert_eq!(world.chat(&ask_stream()).await.status, 200);
    assert_eq!(world.recorded(1).await.outcome, CallOutcome::Answered);
    let last = world.finals().pop().unwrap();
    assert_eq!((last.outcome, last.cost), (Outcome::Unresolved, NanoUsd::ZERO));
    assert_eq!(world.balance(budget(1, "1").id).await.unresolved, last.holds[0].amount);
}
