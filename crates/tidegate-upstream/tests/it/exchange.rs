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
async fn a_body_of_known_length_that_is_cut_is_an_error_too() {
    for cut in 0..OK.len() {
        let peer = Peer::start(Act::SayAndClose(&OK[..cut])).await;
        assert!(post(&upstreams(&peer), &peer.url()).await.unwrap_err().was_sent(), "cut at {cut}");
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let peer = Peer::start(Act::Say([hints, OK].concat().leak())).await;
    let upstreams = upstreams(&peer);
    for _ in 0..3 {
        assert_eq!(post(&upstreams, &peer.url()).await, Ok((200, Bytes::from("ok"))));
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_a_length_the_close_is_the_end() {
    let peer = Peer::start(Act::SayAndClose("HTTP/1.1 200 OK\r\n\r\nok")).await;
    assert_eq!(post(&upstreams(&peer), &peer.url()).await, Ok((200, Bytes::from("ok"))));
}

#[tokio::test]
async fn what_follows_an_answer_uncalled_for_closes_the_connection() {
    let peer = Peer::start(Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK")).await;
    let upstreams = upstreams(&peer);
    for _ in 0..2 {
        assert_eq!(post(&upstreams, &peer.url()).await, Ok((200, Bytes::from("ok"))));
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    for framing in ["content-length: 3000000", "transfer-encoding: chunked"] {
        let body = "0123456789".repeat(300_000);
        let answer = match framing {
            "transfer-encoding: chunked" => format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            _ => body.clone(),
        };
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{answer}").leak();
        let peer = Peer::start(Act::Say(answer)).await;
        let upstreams = upstreams(&peer);
        for _ in 0..3 {
            assert_eq!(post(&upstreams, &peer.url()).await, Ok((200, Bytes::from(body.clone()))));
        }
        assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn an_answer_to_a_request_that_is_not_read_to_its_end_is_heard() {
    // The peer reads the head only and refuses; the body is larger than any buffer on the way.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let refusing = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 512];
        let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut head).await.unwrap();
        let refusal = b"HTTP/1.1 413 x\r\ncontent-length: 3\r\n\r\nbig";
        tokio::io::AsyncWriteExt::write_all(&mut socket, refusal).await.unwrap();
        // Stays open, and reads nothing more.
        std::future::pending::<()>().await;
    });
    let settings = tidegate_upstream::Settings { private: loopback(&[port]), ..Default::default() };
    let upstreams = tidegate_upstream::Upstreams::new(&settings).unwrap();
    let endpoint = upstreams.endpoint(&format!("http://127.0.0.1:{port}")).unwrap();
    let path = endpoint.path("/").unwrap();
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let response =
        upstreams.post(&endpoint, OrganizationId::SYSTEM, path, HeaderMap::new(), body).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "big");
    refusing.abort();
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
