//! Failover is free before the first event, and every attempt is settled by what it was.

use std::time::Duration;

use tidegate_proxy::Settings;
use tidegate_types::resource::{Policy, Resource};
use tidegate_types::usage::{CallOutcome, Outcome, RefusalCause};

use crate::plain::{ANTHROPIC_ANSWER, OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider, STREAM_HEAD, Step, Turn, chunk, json, open_stream, stream, whole};
use crate::streams::{OPENAI_STREAM, ask_stream};
use crate::world::{Offer, World, anthropic, openai, policy};

fn error(status: u16, headers: &str) -> Turn {
    whole(status, headers, r#"{"error":{"message":"told by a","type":"server_error","code":"c"}}"#)
}

/// The outcomes of all attempts, in order.
fn outcomes(world: &World) -> Vec<Outcome> {
    world.finals().iter().map(|event| event.outcome).collect()
}

#[tokio::test]
async fn whatever_goes_wrong_before_the_first_event_the_next_candidate_answers() {
    let cases: Vec<(Turn, Outcome)> = vec![
        (error(429, "retry-after: 1\r\n"), Outcome::Refused),
        (error(500, ""), Outcome::Refused),
        (error(503, ""), Outcome::Refused),
        (error(529, ""), Outcome::Refused),
        (error(401, ""), Outcome::Refused),
        (error(403, ""), Outcome::Refused),
        (error(307, "location: http://169.254.169.254/\r\n"), Outcome::Refused),
        (vec![Step::Close], Outcome::Unresolved),
        (vec![Step::Reset], Outcome::Unresolved),
        (vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-len".to_vec()), Step::Close], Outcome::Unresolved),
        (vec![Step::Send(b"SSH-2.0-x\r\n\r\n".to_vec()), Step::Close], Outcome::Unresolved),
        (json("<html>"), Outcome::Unresolved),
        (json("{}"), Outcome::Unresolved),
    ];
    for (turn, outcome) in cases {
        let (bad, good) =
            (Provider::start(vec![turn.clone()]).await, Provider::start(vec![json(OPENAI_ANSWER)]).await);
        let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
        let reply = world.chat(&ask()).await;
        assert_eq!((reply.status, &*reply.passed()), (200, OPENAI_ANSWER), "{turn:?}");
        assert_eq!((bad.count(), good.count()), (1, 1), "{turn:?}");
        let record = world.recorded(1).await;
        assert_eq!((record.outcome, record.attempts.len()), (CallOutcome::Answered, 2));
        assert_eq!(outcomes(&world), [outcome, Outcome::Completed], "{turn:?}");
        world.assert_settled(None).await;
    }
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_event_is_answered_by_the_next_candidate() {
    let overloaded = "data: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}\n\n";
    let cases: Vec<(Turn, Outcome)> = vec![
        (stream(&[overloaded]), Outcome::Refused),
        (error(500, ""), Outcome::Refused),
        (stream(&[]), Outcome::Unresolved),
        (vec![Step::Send(STREAM_HEAD.as_bytes().to_vec()), Step::Close], Outcome::Unresolved),
        (
            vec![Step::Send(STREAM_HEAD.as_bytes().to_vec()), Step::Send(b"zz\r\n".to_vec()), Step::Close],
            Outcome::Unresolved,
        ),
        (stream(&[": keep-alive\n\n"]), Outcome::Unresolved),
    ];
    for (turn, outcome) in cases {
        let (bad, good) =
            (Provider::start(vec![turn.clone()]).await, Provider::start(vec![stream(&OPENAI_STREAM)]).await);
        let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
        let reply = world.chat(&ask_stream()).await;
        assert_eq!((reply.status, reply.passed()), (200, OPENAI_STREAM.concat()), "{turn:?}");
        world.recorded(1).await;
        assert_eq!(outcomes(&world), [outcome, Outcome::Completed], "{turn:?}");
    }
}

#[tokio::test]
async fn another_dialect_may_answer_instead() {
    let (bad, good) =
        (Provider::start(vec![error(500, "")]).await, Provider::start(vec![json(ANTHROPIC_ANSWER)]).await);
    let world = World::start(&[openai("a", &bad), anthropic("b", &good)]).await;
    assert_eq!(world.chat(&ask()).await.json()["choices"][0]["message"]["content"], "Hello");
    // The first candidate was not cooled down by a 500 and fails again.
    assert_eq!(world.messages(&ask_anthropic()).await.passed(), ANTHROPIC_ANSWER);
    assert_eq!(good.count(), 2);
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_costs_nothing_and_is_skipped() {
    let mut gone = Provider::start(vec![vec![]]).await;
    gone.address = ([127, 0, 0, 1], 1).into();
    let good = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &gone), openai("b", &good)]).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
    let record = world.recorded(1).await;
    assert_eq!(record.attempts.len(), 2);
    // Nothing was sent: there is neither an intent nor a final event of it.
    assert_eq!(world.journal.events.lock().len(), 2);
    // For a while the other one comes first.
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert_eq!(world.recorded(2).await.attempts.len(), 1);
}

#[tokio::test]
async fn a_rate_limited_provider_is_left_alone_until_its_time_is_up() {
    let bad = Provider::start(vec![error(429, "retry-after: 60\r\n")]).await;
    let good = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
    for _ in 0..5 {
        assert_eq!(world.chat(&ask()).await.status, 200);
    }
    assert_eq!((bad.count(), good.count()), (1, 5));
}

#[tokio::test]
async fn the_callers_own_mistake_is_passed_on_and_not_repeated() {
    let body = r#"{"error":{"message":"bad tool","type":"invalid_request_error","param":"tools","code":null},"odd":1}"#;
    for status in [400, 404, 413, 422] {
        let (bad, good) =
            (Provider::start(vec![whole(status, "", body)]).await, Provider::start(vec![vec![]]).await);
        let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
        let reply = world.chat(&ask()).await;
        assert_eq!((reply.status, &*reply.body), (status, body));
        let record = world.recorded(1).await;
        assert_eq!((record.status, record.outcome), (status, CallOutcome::UpstreamError));
        // The other dialect gets its own form of the same words.
        let reply = world.messages(&ask_anthropic()).await;
        assert_eq!((reply.status, reply.json()["error"]["message"].as_str()), (status, Some("bad tool")));
        assert_eq!(reply.json()["type"], "error");
        assert_eq!(good.count(), 0);
    }
}

#[tokio::test]
async fn when_all_fail_the_last_one_is_told_and_our_credentials_are_not() {
    let secret =
        r#"{"error":{"message":"Incorrect API key provided: sk-canary","type":"invalid_request_error"}}"#;
    let peer = Provider::start(vec![whole(401, "", secret)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.chat(&ask()).await;
    assert_eq!(reply.status, 502);
    assert!(!reply.body.contains("canary"), "{}", reply.body);
    assert_eq!(
        world.recorded(1).await.outcome,
        CallOutcome::Refused { cause: RefusalCause::UpstreamFailed, budget_id: None }
    );
    // A rate limit is told with its time.
    let peer = Provider::start(vec![error(429, "retry-after: 7\r\n")]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let reply = world.chat(&ask()).await;
    assert_eq!((reply.status, reply.header("retry-after"), peer.count()), (429, "7", 1));
}

#[tokio::test]
async fn the_same_provider_is_tried_again_within_its_share_and_the_policys_number_of_attempts() {
    let peer = Provider::start(vec![error(500, ""), error(503, ""), json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert_eq!((peer.count(), world.recorded(1).await.attempts.len()), (3, 3));
    peer.script(vec![error(500, "")]);
    let mut calls = 0;
    let before = peer.count();
    for _ in 0..100 {
        assert_eq!(world.chat(&ask()).await.status, 500);
        calls += 1;
    }
    // Ten retries in store, then a fifth of the traffic.
    let sent = peer.count() - before;
    assert!(sent <= calls + 10 + calls / 5, "{sent} for {calls}");
}

#[tokio::test]
async fn a_silent_provider_is_given_up_in_time_and_its_hold_is_unresolved() {
    let silent = Provider::start(vec![vec![Step::UntilHangUp]]).await;
    let settings = Settings { attempt_timeout: Duration::from_secs(1), ..Settings::default() };
    let world = World::with(&[openai("a", &silent)], settings.clone()).await;
    let reply = world.chat(&ask()).await;
    assert_eq!(reply.status, 504);
    world.recorded(1).await;
    assert_eq!(outcomes(&world), [Outcome::Unresolved]);
    world.until(|| silent.hang_ups.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    // With another candidate the call is answered.
    let good = Provider::start(vec![stream(&OPENAI_STREAM)]).await;
    let offers: [Offer<'_>; 2] = [openai("a", &silent), openai("b", &good)];
    let world = World::with(&offers, settings).await;
    assert_eq!(world.chat(&ask_stream()).await.passed(), OPENAI_STREAM.concat());
}

#[tokio::test]
async fn after_the_first_event_a_broken_stream_ends_with_an_error_and_never_with_done() {
    for pieces in 1..OPENAI_STREAM.len() - 2 {
        for end in
            [Step::Close, Step::Reset, Step::Send(chunk("data: {\"error\":{\"message\":\"late\"}}\n\n"))]
        {
            let mut turn = open_stream(&OPENAI_STREAM[..pieces]);
            turn.extend([Step::Pause(Duration::from_millis(30)), end.clone(), Step::Close]);
            let (bad, other) =
                (Provider::start(vec![turn]).await, Provider::start(vec![stream(&OPENAI_STREAM)]).await);
            let world = World::start(&[openai("a", &bad), openai("b", &other)]).await;
            let reply = world.chat(&ask_stream()).await;
            assert!(reply.body.starts_with(&OPENAI_STREAM[..pieces].concat()), "{}", reply.body);
            assert!(reply.body.contains("\"error\""), "{end:?}: {}", reply.body);
            assert!(!reply.body.contains("[DONE]"), "{}", reply.body);
            assert_eq!(world.recorded(1).await.outcome, CallOutcome::Broken);
            assert_eq!(other.count(), 0);
            assert_eq!(outcomes(&world), [Outcome::Interrupted]);
        }
    }
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_never_presented_as_complete() {
    let whole = OPENAI_STREAM.concat();
    let finish = whole.find("\"stop\"").unwrap();
    let peer = Provider::start(vec![vec![]]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![Resource::Policy(Policy { max_attempts: Some(1), ..policy() })]);
    let mut calls = 0;
    for cut in (0..whole.len()).step_by(11) {
        for end in [Step::Close, Step::Reset] {
            let mut turn = open_stream(&[&whole[..cut]][..usize::from(cut > 0)]);
            turn.extend([Step::Pause(Duration::from_millis(2)), end]);
            peer.script(vec![turn]);
            let reply = world.chat(&ask_stream()).await;
            calls += 1;
            let last = world.recorded(calls).await;
            assert!(!reply.body.contains("[DONE]"), "cut at {cut}: {reply:?}");
            assert!(reply.body.contains("\"error\""), "cut at {cut}: {reply:?}");
            assert_ne!(last.outcome, CallOutcome::Answered, "cut at {cut} (finish at {finish})");
        }
    }
    world.assert_settled(None).await;
    assert_eq!(world.finals().len(), calls);
}
