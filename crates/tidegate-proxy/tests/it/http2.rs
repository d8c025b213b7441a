//! HTTP/2 with prior knowledge: the same path.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_types::usage::CallOutcome;

use crate::client::without_note;
use crate::plain::OPENAI_ANSWER;
use crate::provider::{Provider, Step, json, open_stream, stream};
use crate::streams::{OPENAI_STREAM, ask_stream};
use crate::world::{World, openai};

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn connect(world: &World) -> Sender {
    let socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let io = TokioIo::new(socket);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn chat(world: &World, sender: &mut Sender, body: String) -> http::Response<hyper::body::Incoming> {
    let request = http::Request::post(format!("http://{}/v1/chat/completions", world.address))
        .header("authorization", format!("Bearer {}", world.key))
        .body(Full::from(body))
        .unwrap();
    sender.send_request(request).await.unwrap()
}

#[tokio::test]
async fn calls_share_one_connection_and_are_answered_as_over_http1() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER), stream(&OPENAI_STREAM)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let mut sender = connect(&world).await;
    let plain = chat(&world, &mut sender, crate::plain::ask()).await;
    assert_eq!((plain.status(), plain.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    let text = |bytes: bytes::Bytes| without_note(std::str::from_utf8(&bytes).unwrap());
    assert_eq!(text(plain.into_body().collect().await.unwrap().to_bytes()), OPENAI_ANSWER);
    let streamed = chat(&world, &mut sender, ask_stream()).await;
    assert_eq!(text(streamed.into_body().collect().await.unwrap().to_bytes()), OPENAI_STREAM.concat());
    world.recorded(2).await;
    world.assert_settled(None).await;
}

#[tokio::test]
async fn a_reset_stream_is_a_caller_that_left_and_the_others_go_on() {
    let mut turn = open_stream(&OPENAI_STREAM[..1]);
    turn.push(Step::UntilHangUp);
    let peer = Provider::start(vec![turn, json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let mut sender = connect(&world).await;
    let mut body = chat(&world, &mut sender, ask_stream()).await.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(world.recorded(1).await.outcome, CallOutcome::Disconnected);
    world.until(|| peer.hang_ups.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    let plain = chat(&world, &mut sender, crate::plain::ask()).await;
    assert_eq!(plain.status(), 200);
    drop(plain);
    drop(sender);
    tokio::time::timeout(Duration::from_secs(60), world.gateway.drain(Duration::from_secs(5))).await.unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_the_callers_words_and_the_other_streams_go_on() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let mut sender = connect(&world).await;
    let mut send = async |path: &str, length: usize| {
        let request = http::Request::post(format!("http://{}{path}", world.address))
            .header("authorization", format!("Bearer {}", world.key))
            .header("x-long", "x".repeat(length))
            .body(Full::from(crate::plain::ask()))
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    };
    for (path, id) in [("/v1/chat/completions", "x-request-id"), ("/v1/messages", "request-id")] {
        let (head, body) = send(path, 33_000).await;
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((head.status.as_u16(), said["error"]["type"].as_str()), (431, Some("request_too_large")));
        assert!(head.headers[id].to_str().unwrap().starts_with("gen_"), "{head:?}");
    }
    // What HTTP/2's own limit refuses has no body.
    let (head, body) = send("/v1/chat/completions", 70_000).await;
    assert_eq!((head.status.as_u16(), body.len()), (431, 0));
    assert_eq!(send("/v1/chat/completions", 100).await.0.status, 200);
    assert_eq!(peer.count(), 1);
}
