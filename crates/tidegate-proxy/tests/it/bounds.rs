//! Bounds of size and time, and headers that mean no good.

use std::io::Write as _;
use std::time::Duration;

use tidegate_proxy::Settings;
use tidegate_types::usage::CallOutcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Reply, request, send};
use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, json, open_stream};
use crate::streams::{OPENAI_STREAM, ask_stream};
use crate::world::{World, openai};

async fn world(settings: Settings) -> (World, Provider) {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    (World::with(&[openai("a", &peer)], settings).await, peer)
}

async fn chat_with(world: &World, headers: &[(&str, &str)], body: &str) -> Reply {
    send(world.address, &request("POST", "/v1/chat/completions", headers, body)).await
}

#[tokio::test]
async fn bodies_above_the_limit_are_refused_and_those_at_it_are_not() {
    let (world, peer) = world(Settings { max_body: 1_000, ..Settings::default() }).await;
    let fill = |length: usize| {
        let empty = ask().replace("hi", "");
        empty.replace(r#""content":"""#, &format!(r#""content":"{}""#, "x".repeat(length - empty.len())))
    };
    assert_eq!(world.chat(&fill(1_000)).await.status, 200);
    let reply = world.chat(&fill(1_001)).await;
    assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (413, Some("request_too_large")));
    assert_eq!(reply.header("connection"), "close");
    // The same without a length that tells it beforehand.
    let bearer = format!("Bearer {}", world.key);
    let mut bytes = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nauthorization: {bearer}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    for _ in 0..10 {
        bytes.push_str(&format!("{:x}\r\n{}\r\n", 200, "x".repeat(200)));
    }
    assert_eq!(send(world.address, bytes.as_bytes()).await.status, 413);
    assert_eq!(peer.count(), 1);
}

#[tokio::test]
async fn slow_bodies_and_slow_heads_are_cut_off() {
    let settings = Settings {
        head_timeout: Duration::from_millis(200),
        body_grace: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(600),
        ..Settings::default()
    };
    let (world, _) = world(settings).await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{{",
        world.key
    );
    assert_eq!(send(world.address, head.as_bytes()).await.status, 408);
    // Heads: nothing, half of one, and half of a second one after a good request.
    let good = "GET /livez HTTP/1.1\r\nhost: g\r\n\r\n".to_owned();
    for text in ["", "GET /livez HTT", &format!("{good}GET /live"), &good] {
        let mut socket = TcpStream::connect(world.address).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut answer));
        read.await.unwrap_or_else(|_| panic!("left open after {text:?}")).unwrap();
        assert_eq!(answer.is_empty(), !text.starts_with(&good), "{text:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_kept_as_long_as_promised() {
    let settings = Settings {
        head_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_secs(20),
        ..Settings::default()
    };
    let (world, _) = world(settings).await;
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    for _ in 0..3 {
        socket.write_all(b"GET /livez HTTP/1.1\r\nhost: g\r\n\r\n").await.unwrap();
        let mut some = [0; 1024];
        assert!(socket.read(&mut some).await.unwrap() > 0);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let (world, peer) = world(Settings::default()).await;
    let long = |length: usize| "x".repeat(length);
    assert_eq!(chat_with(&world, &[("x-long", &long(32_000))], &ask()).await.status, 401);
    for length in [32_768, 60_000] {
        let reply = chat_with(&world, &[("x-long", &long(length))], &ask()).await;
        assert_eq!((reply.status, reply.header("connection")), (431, "close"));
        let error = &reply.json()["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&"request_too_large".into(), &"request_headers_too_large".into())
        );
        assert!(reply.header("x-request-id").starts_with("gen_"), "{reply:?}");
        assert_eq!(reply.header("x-request-id"), reply.header("x-tidegate-id"));
    }
    // In the words of the surface, for the target as for a header, with an id in the body where that has a place.
    let bytes = request("POST", &format!("/v1/messages?{}", long(33_000)), &[], &ask());
    let reply = send(world.address, &bytes).await;
    assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (431, Some("request_too_large")));
    assert_eq!(reply.json()["request_id"], reply.header("request-id"));
    // What hyper does not read, it refuses itself.
    let reply = chat_with(&world, &[("x-long", &long(70_000))], &ask()).await;
    assert_eq!((reply.status, &*reply.body), (431, ""));
    assert_eq!(peer.count(), 0);
}

#[tokio::test]
async fn compressed_bodies_are_read_within_bounds() {
    let (world, peer) = world(Settings { max_body: 4 << 20, ..Settings::default() }).await;
    let url = format!("http://{}/v1/chat/completions", world.address);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |encoding: &str, body: Vec<u8>| {
        let request = client.post(&url).bearer_auth(&world.key).header("content-encoding", encoding);
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let gzip = |body: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(body).unwrap();
        out.finish().unwrap()
    };
    let zlib = |body: &[u8]| {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(body).unwrap();
        out.finish().unwrap()
    };
    let zstd =
        |body: &[u8]| ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest);
    let body = ask().into_bytes();
    for (encoding, packed) in [
        ("gzip", gzip(&body)),
        ("x-gzip", gzip(&body)),
        ("deflate", zlib(&body)),
        ("zstd", zstd(&body)),
        ("identity, zstd", zstd(&body)),
        ("identity", body.clone()),
    ] {
        let (status, said) = send(encoding, packed).await;
        assert_eq!(status, 200, "{encoding}: {said}");
    }
    let sent = peer.count();
    let spaces = |length: usize| [&body[..], &b" ".repeat(length)].concat();
    for (encoding, packed, status, told) in [
        ("br", body.clone(), 415, "gzip, deflate or zstd"),
        ("gzip, zstd", gzip(&body), 415, "once"),
        ("gzip", body.clone(), 400, "content-encoding"),
        ("zstd", body.clone(), 400, "content-encoding"),
        ("deflate", gzip(&body), 400, "content-encoding"),
        ("gzip", gzip(&spaces(5 << 20)), 413, "4194304 bytes"),
        ("zstd", zstd(&spaces(5 << 20)), 413, "grows"),
        ("zstd", zstd(&spaces(3 << 20)), 413, "grows"),
    ] {
        let (got, said) = send(encoding, packed).await;
        assert!(got == status && said.contains(told), "{encoding}: {got} {said}");
    }
    assert_eq!(peer.count(), sent, "nobody was asked");
}

#[tokio::test]
async fn a_request_that_two_readers_would_read_differently_is_the_last_of_its_connection() {
    let (world, _) = world(Settings::default()).await;
    let auth = format!("authorization: Bearer {}\r\n", world.key);
    let body = ask();
    let length = body.len();
    for (head, wanted) in [
        (format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), 200),
        (format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"), 200),
        (format!("content-length: {length}\r\ncontent-length: {}\r\n", length - 1), 400),
        (format!("transfer-encoding: gzip\r\ncontent-length: {length}\r\n"), 400),
        (format!("content-length: +{length}\r\n"), 400),
        (format!("content-length: {length}\r\n folded: x\r\n"), 400),
    ] {
        let body = if head.contains("chunked") {
            format!("{length:x}\r\n{body}\r\n0\r\n\r\n")
        } else {
            body.clone()
        };
        let hidden = "GET /livez HTTP/1.1\r\nhost: g\r\n\r\n";
        let text = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n{auth}{head}\r\n{body}{hidden}");
        let reply = send(world.address, text.as_bytes()).await;
        assert_eq!((reply.status, reply.header("connection")), (wanted, "close"), "{head}: {reply:?}");
        assert!(!reply.body.contains("HTTP/1.1"), "{head}: {reply:?}");
    }
}

#[tokio::test]
async fn nothing_of_the_callers_own_headers_reaches_the_provider() {
    let (world, peer) = world(Settings::default()).await;
    let bearer = format!("Bearer {}", world.key);
    let canaries = [
        ("authorization", bearer.as_str()),
        ("cookie", "canary"),
        ("x-stainless-lang", "canary"),
        ("ai-gateway-api-key", "canary"),
        ("ai-o11y-project", "canary"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "canary.example"),
        ("x-tidegate-anything", "canary"),
        ("user-agent", "canary"),
        ("openai-organization", "canary"),
        ("idempotency-key", "canary"),
        ("traceparent", "00-canary"),
    ];
    assert_eq!(chat_with(&world, &canaries, &ask()).await.status, 200);
    let head = peer.last().head;
    assert!(
        !head.contains("canary") && !head.contains("127.0.0.1\r\nx-f") && !head.contains(&world.key),
        "{head}"
    );
}

#[tokio::test]
async fn the_callers_trace_is_in_the_record_and_what_is_none_is_not() {
    let (world, peer) = world(Settings::default()).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (calls, (header, known)) in
        [(parent, Some(parent)), ("00-canary", None), ("", None)].into_iter().enumerate()
    {
        let bearer = format!("Bearer {}", world.key);
        let headers = [("authorization", bearer.as_str()), ("traceparent", header), ("tracestate", "canary")];
        assert_eq!(chat_with(&world, &headers, &ask()).await.status, 200);
        let record = world.recorded(calls + 1).await;
        assert_eq!(record.trace.map(|trace| trace.to_string()).as_deref(), known, "{header}");
        assert!(!peer.last().head.contains("4bf92f3577b34da6"), "it is not passed on");
    }
}

#[tokio::test]
async fn keys_count_the_same_under_every_trick_with_hosts_and_paths() {
    let (world, peer) = world(Settings::default()).await;
    for (headers, path) in [
        (vec![("x-forwarded-host", "localhost")], "/v1/chat/completions"),
        (vec![("x-original-url", "/livez")], "/v1/chat/completions"),
        (vec![("x-forwarded-for", "127.0.0.1")], "/v1/chat/completions?key=1"),
        (vec![("authorization", "Bearer ")], "/v1/chat/completions"),
        (vec![("authorization", "Basic dXNlcjpwdw==")], "/v1/chat/completions"),
        (vec![("x-api-key", "tg_00000000000000000000000001_")], "/v1/chat/completions"),
    ] {
        let reply = send(world.address, &request("POST", path, &headers, &ask())).await;
        assert_eq!(reply.status, 401, "{headers:?} {path}");
    }
    let two = [("authorization", world.key.as_str()), ("x-api-key", "tg_other")];
    assert_eq!(chat_with(&world, &two, &ask()).await.status, 401);
    assert_eq!(peer.count(), 0);
    let same = [("authorization", world.key.as_str()), ("x-goog-api-key", world.key.as_str())];
    assert_eq!(chat_with(&world, &same, &ask()).await.status, 200);
    assert!(world.recorded(1).await.status == 200 && world.journal.calls.lock().len() == 1);
}

#[tokio::test]
async fn hostile_keys_touch_nothing_and_break_nothing() {
    let (world, peer) = world(Settings::default()).await;
    let key = world.key.clone();
    let mut hostile = vec![
        "' OR 1=1 --".to_owned(),
        "tg_".repeat(5_000),
        key.to_ascii_uppercase(),
        format!("{key}x"),
        key.replace('_', "-"),
        format!("{key}\t{key}"),
        "\u{e9}".repeat(40),
        "null".to_owned(),
        "%00".to_owned(),
    ];
    // Every character of the real key changed, and every prefix of it.
    for at in 0..key.len() {
        let other = if key.as_bytes()[at] == b'A' { "B" } else { "A" };
        hostile.extend([format!("{}{other}{}", &key[..at], &key[at + 1..]), key[..at].to_owned()]);
    }
    for text in &hostile {
        let reply = chat_with(&world, &[("authorization", &format!("Bearer {text}"))], &ask()).await;
        assert_eq!(reply.status, 401, "{text:?}");
        assert!(text.len() < 9 || !reply.body.contains(&**text), "{reply:?}");
    }
    assert_eq!((peer.count(), world.journal.calls.lock().len()), (0, 0));
}

#[tokio::test]
async fn a_caller_that_takes_nothing_is_given_up_with_its_provider() {
    let settings = Settings { write_timeout: Duration::from_millis(300), ..Settings::default() };
    let (world, peer) = world(settings).await;
    let piece = OPENAI_STREAM[1].replace("lo", &"x".repeat(60_000));
    let endless = open_stream(&vec![piece.as_str(); 400]);
    peer.script(vec![endless]);
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let bearer = format!("Bearer {}", world.key);
    let bytes = request("POST", "/v1/chat/completions", &[("authorization", &bearer)], &ask_stream());
    socket.write_all(&bytes).await.unwrap();
    let record = world.recorded(1).await;
    assert_eq!(record.outcome, CallOutcome::Disconnected);
    world.until(|| peer.hang_ups.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    world.assert_settled(None).await;
}
