//! A node that ends finishes its answers, and after its time ends them with an error.

use std::time::Duration;

use tidegate_types::usage::{CallOutcome, Outcome};
use tokio::net::TcpStream;

use crate::plain::ask;
use crate::provider::{Provider, STREAM_HEAD, Step, chunk, open_stream};
use crate::streams::{OPENAI_STREAM, ask_stream};
use crate::world::{World, openai};

#[tokio::test]
async fn running_streams_are_finished() {
    let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec())];
    for piece in OPENAI_STREAM {
        turn.extend([Step::Send(chunk(piece)), Step::Pause(Duration::from_millis(50))]);
    }
    turn.push(Step::Send(b"0\r\n\r\n".to_vec()));
    let peer = Provider::start(vec![turn]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let ask = ask_stream();
    let drain = async {
        world.until(|| peer.count() == 1).await;
        world.gateway.drain(Duration::from_secs(30)).await;
    };
    let (reply, ()) = tokio::join!(world.chat(&ask), drain);
    assert_eq!(reply.passed(), OPENAI_STREAM.concat());
    assert_eq!(world.recorded(1).await.outcome, CallOutcome::Answered);
}

#[tokio::test]
async fn what_still_runs_after_the_drain_time_ends_with_an_error_and_is_settled() {
    let mut turn = open_stream(&OPENAI_STREAM[..2]);
    turn.push(Step::UntilHangUp);
    let peer = Provider::start(vec![turn, vec![Step::UntilHangUp]]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let (stream, plain) = (ask_stream(), ask());
    let drain = async {
        world.until(|| peer.count() == 2).await;
        tokio::time::timeout(Duration::from_secs(60), world.gateway.drain(Duration::from_millis(200)))
            .await
            .unwrap();
    };
    let second = async {
        world.until(|| peer.count() == 1).await;
        world.chat(&plain).await
    };
    let (first, second, ()) = tokio::join!(world.chat(&stream), second, drain);
    assert!(
        first.body.starts_with(&OPENAI_STREAM[..2].concat()) && first.body.contains("\"error\""),
        "{first:?}"
    );
    assert!(!first.body.contains("[DONE]"));
    assert_eq!((second.status, second.json()["error"]["code"].as_str()), (503, Some("stopping")));
    world.assert_settled(None).await;
    let mut outcomes: Vec<_> = world.finals().iter().map(|event| event.outcome).collect();
    outcomes.sort_by_key(|outcome| *outcome == Outcome::Unresolved);
    assert_eq!(outcomes, [Outcome::Interrupted, Outcome::Unresolved]);
}

#[tokio::test]
async fn idle_connections_close_at_once() {
    let peer = Provider::start(vec![vec![]]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    world.gateway.drain(Duration::from_secs(30)).await;
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut idle, &mut byte);
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap_or(0), 0);
}
