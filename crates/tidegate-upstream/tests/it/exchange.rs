//! Connections are reused, and every failure says whether the request was sent.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use tidegate_types::OrganizationId;
use tidegate_upstream::SendError;
use tokio::net::TcpListener;

use crate::peer::{Act, Peer, loopback, post, reaches, upstreams};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n";

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    for answer in [OK, CHUNKED] {
        let peer = Peer::start(Act::Say(answer)).await;
        let upstreams = upstreams(&peer);
        for _ in 0..20 {
            assert_eq!(post(&upstreams, &peer.url()).await, Ok((200, Bytes::from("ok"))));
        }
        assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_connection_that_the_peer_closed_is_not_reused() {
    let peer = Peer::start(Act::SayAndClose(OK)).await;
    let upstreams = upstreams(&peer);
    for _ in 0..20 {
        assert_eq!(post(&upstreams, &peer.url()).await, Ok((200, Bytes::from("ok"))));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn nobody_listening_means_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = tidegate_upstream::Settings { private: loopback(&[port]), ..Default::default() };
    let upstreams = tidegate_upstream::Upstreams::new(&settings).unwrap();
    let error = post(&upstreams, &format!("http://127.0.0.1:{port}")).await.unwrap_err();
    assert_eq!((error, error.was_sent()), (SendError::Connect, false));
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_means_sent() {
    for act in [Act::SayAndClose(""), Act::SayAndClose("HTTP/1.1 200 OK\r\ncontent-le"), Act::Reset] {
        let peer = Peer::start(act).await;
        let error = post(&upstreams(&peer), &peer.url()).await.unwrap_err();
        assert!(error.was_sent(), "{error}");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_is_an_error_at_every_byte() {
    for cut in 0..CHUNKED.len() {
        let head = CHUNKED.find("\r\n\r\n").unwrap() + 4;
        let peer = Peer::start(Act::SayAndClose(&CHUNKED[..cut])).await;
        let error = post(&upstreams(&peer), &peer.url()).await.expect_err("a cut answer is never complete");
        assert!(error.was_sent(), "cut at {cut} (head ends at {head}): {error}");
    }
}

#[tokio::test]
async fn garbage_and_endless_heads_mean_sent() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(100_000)).leak();
    for garbage in ["SSH-2.0-OpenSSH_9.9\r\n\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", long] {
        let peer = Peer::start(Act::SayAndClose(garbage)).await;
        let error = post(&upstreams(&peer), &peer.url()).await.unwrap_err();
        assert!(error.was_sent(), "{error}");
    }
}

#[tokio::test]
async fn redirects_are_answers_and_not_followed() {
    let peer = Peer::start(Act::Say(
        "HTTP/1.1 307 x\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    assert_eq!(post(&upstreams(&peer), &peer.url()).await.unwrap().0, 307);
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn dropping_an_answer_closes_its_connection() {
    let peer =
        Peer::start(Act::SayAndWait("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n")).await;
    let upstreams = upstreams(&peer);
    let endpoint = upstreams.endpoint(&peer.url()).unwrap();
    let path = endpoint.path("/").unwrap();
    let owner = OrganizationId::SYSTEM;
    let response =
        upstreams.post(&endpoint, owner, path.clone(), HeaderMap::new(), Bytes::new()).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "o");
    drop(body);
    reaches(&peer.hang_ups, 1).await;
    // So does giving up before the head.
    let silent = Peer::start(Act::SayAndWait("")).await;
    let upstreams = crate::peer::upstreams(&silent);
    let endpoint = upstreams.endpoint(&silent.url()).unwrap();
    let sent = upstreams.post(&endpoint, owner, path, HeaderMap::new(), Bytes::new());
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), sent).await.is_err());
    reaches(&silent.hang_ups, 1).await;
}
