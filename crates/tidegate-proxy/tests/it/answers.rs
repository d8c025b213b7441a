//! Bounds of what a provider may send: length, lines, compression that nobody asked for.

use std::io::Write as _;

use tidegate_proxy::Settings;
use tidegate_types::usage::Outcome;

use crate::client::Reply;
use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, Step, Turn, json, whole};
use crate::streams::ask_stream;
use crate::world::{World, openai};

fn sent(head: &str, body: &[u8]) -> Turn {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{head}content-length: {length}\r\n\r\n");
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// Without a length: chunk after chunk, and it never ends by itself.
fn endless(head: &str, chunk: &str, times: usize) -> Turn {
    let head = format!("HTTP/1.1 200 OK\r\n{head}transfer-encoding: chunked\r\n\r\n");
    let chunk = format!("{:x}\r\n{chunk}\r\n", chunk.len());
    let mut turn = vec![Step::Send(head.into_bytes())];
    turn.extend(std::iter::repeat_n(Step::Send(chunk.into_bytes()), times));
    turn.push(Step::UntilHangUp);
    turn
}

fn gzip(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

/// The bad one's answer is given up and stays unresolved; the other one answers.
async fn is_passed_over(answer: Turn, body: &str) {
    let (bad, good) = (Provider::start(vec![answer]).await, Provider::start(vec![json(OPENAI_ANSWER)]).await);
    let settings = Settings { max_answer: 64 * 1024, ..Settings::default() };
    let world = World::with(&[openai("a", &bad), openai("b", &good)], settings).await;
    let reply = world.chat(body).await;
    assert_eq!((bad.count(), good.count()), (1, 1), "{reply:?}");
    let record = world.recorded(1).await;
    assert_eq!(record.attempts[0].outcome, Some(Outcome::Unresolved));
}

#[tokio::test]
async fn headers_name_who_answered_whose_credential_paid_and_what_was_demanded() {
    let (bad, good) =
        (Provider::start(vec![whole(500, "", "{}")]).await, Provider::start(vec![json(OPENAI_ANSWER)]).await);
    let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
    let named = |reply: &Reply| {
        ["x-tidegate-provider", "x-tidegate-credential", "x-tidegate-zdr"]
            .map(|name| reply.header(name).to_owned())
    };
    assert_eq!(named(&world.chat(&ask()).await), ["b", "system", "none"]);
    let own = r#","providerOptions":{"gateway":{"byok":{"b":[{"apiKey":"own"}]},"only":["b"]}}}"#;
    let body = ask().trim_end().trim_end_matches('}').to_owned() + own;
    assert_eq!(named(&world.chat(&body).await), ["b", "byok", "none"]);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_given_up_whether_it_says_so_or_not() {
    let long = OPENAI_ANSWER.replace("\"content\":\"", &format!("\"content\":\"{}", "x".repeat(70_000)));
    assert!(long.len() > 64 * 1024, "the answer has a place for it");
    is_passed_over(sent("content-type: application/json\r\n", long.as_bytes()), &ask()).await;
    is_passed_over(endless("content-type: application/json\r\n", &" ".repeat(8_000), 20), &ask()).await;
    // A length that is announced is refused before a byte of it is read.
    let announced =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1099511627776\r\n\r\n{";
    is_passed_over(vec![Step::Send(announced.into()), Step::UntilHangUp], &ask()).await;
    // The control: a little shorter, and it is an answer.
    let fits = OPENAI_ANSWER.replace("\"content\":\"", &format!("\"content\":\"{}", "x".repeat(60_000)));
    let good = Provider::start(vec![json(&fits)]).await;
    let settings = Settings { max_answer: 64 * 1024, ..Settings::default() };
    let world = World::with(&[openai("a", &good)], settings).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
}

#[tokio::test]
async fn a_line_of_a_stream_that_never_ends_is_given_up() {
    let line = endless("content-type: text/event-stream\r\n", &format!("data: {}", "x".repeat(64_000)), 40);
    is_passed_over(line, &ask_stream()).await;
}

#[tokio::test]
async fn an_answer_that_is_compressed_though_nobody_asked_is_no_answer_and_never_unpacked() {
    for encoding in ["gzip", "br", "zstd", "deflate"] {
        let head = format!("content-type: application/json\r\ncontent-encoding: {encoding}\r\n");
        is_passed_over(sent(&head, &gzip(OPENAI_ANSWER)), &ask()).await;
    }
    let head = "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n";
    is_passed_over(sent(head, &gzip("data: {}\n\ndata: [DONE]\n\n")), &ask_stream()).await;
    // Providers are not asked for it either.
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert!(!peer.last().head.to_ascii_lowercase().contains("accept-encoding"), "{}", peer.last().head);
}
