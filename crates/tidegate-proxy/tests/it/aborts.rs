//! A caller that leaves after any chunk of a recorded stream, in every dialect: what is recorded covers what
//! was streamed, says by which method, and is exact where the provider is read to its end.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tidegate_types::resource::{AbortBilling, DialectName, Resource};
use tidegate_types::usage::{BillingEvent, MeterMethod, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::request;
use crate::provider::{Provider, Step, Turn};
use crate::world::{MODEL, Offer, World, budget, openai};

/// A recorded stream of a provider, and the path at which its caller asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    pub(crate) file: &'static str,
    pub(crate) dialect: DialectName,
    pub(crate) path: &'static str,
}

const fn recorded(file: &'static str, dialect: DialectName, path: &'static str) -> Recorded {
    Recorded { file, dialect, path }
}

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";
pub(crate) const RESPONSES: &str = "/v1/responses";

pub(crate) const ALL: [Recorded; 17] = [
    recorded("openai/stream_text.sse", DialectName::OpenaiChat, CHAT),
    recorded("openai/stream_tools.sse", DialectName::OpenaiChat, CHAT),
    recorded("openai/stream_text.sse", DialectName::OpenaiChat, MESSAGES),
    recorded("responses/stream_text.sse", DialectName::OpenaiResponses, CHAT),
    recorded("responses/stream_text.sse", DialectName::OpenaiResponses, RESPONSES),
    recorded("responses/stream_tools.sse", DialectName::OpenaiResponses, CHAT),
    recorded("anthropic/stream_text.sse", DialectName::AnthropicMessages, CHAT),
    recorded("anthropic/stream_text.sse", DialectName::AnthropicMessages, MESSAGES),
    recorded("anthropic/stream_tools.sse", DialectName::AnthropicMessages, MESSAGES),
    recorded("gemini/stream_text.sse", DialectName::Gemini, CHAT),
    recorded("gemini/stream_text.sse", DialectName::Gemini, MESSAGES),
    recorded("gemini/stream_tools.sse", DialectName::Gemini, CHAT),
    recorded("bedrock/stream_text.bin", DialectName::BedrockConverse, CHAT),
    recorded("bedrock/stream_text.bin", DialectName::BedrockConverse, MESSAGES),
    recorded("bedrock/stream_tools.bin", DialectName::BedrockConverse, CHAT),
    recorded("cohere/stream_text.sse", DialectName::CohereChat, CHAT),
    recorded("cohere/stream_tools.sse", DialectName::CohereChat, CHAT),
];

impl Recorded {
    /// The stream, event by event.
    pub(crate) fn chunks(&self) -> Vec<Vec<u8>> {
        let path = format!("{}/../tidegate-dialect/testdata/{}", env!("CARGO_MANIFEST_DIR"), self.file);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut rest = &bytes[..];
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let size = if self.file.ends_with(".bin") {
                u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize
            } else {
                rest.windows(2).position(|two| two == b"\n\n").map_or(rest.len(), |at| at + 2)
            };
            chunks.push(rest[..size].to_vec());
            rest = &rest[size..];
        }
        chunks
    }

    /// A stream whose input is bounded by more than any recording reports.
    pub(crate) fn body(&self) -> String {
        let text = "a question of some length ".repeat(12);
        let asked = match self.path {
            RESPONSES => format!(r#""input":"{text}""#),
            _ => format!(r#""max_tokens":500,"messages":[{{"role":"user","content":"{text}"}}]"#),
        };
        format!(r#"{{"model":"{MODEL}","stream":true,{asked}}}"#)
    }

    pub(crate) fn turn(&self, chunks: &[Vec<u8>]) -> Turn {
        let kind = if self.file.ends_with(".bin") {
            "application/vnd.amazon.eventstream"
        } else {
            "text/event-stream"
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut turn = vec![Step::Send(head.into_bytes())];
        turn.extend(chunks.iter().map(|chunk| framed(chunk)));
        turn
    }

    async fn world(&self, turn: Turn, abort_billing: AbortBilling) -> (World, Provider) {
        let peer = Provider::start(vec![turn]).await;
        let world =
            World::start(&[Offer { abort_billing, dialect: self.dialect, ..openai("a", &peer) }]).await;
        world.put(vec![Resource::Budget(budget(1, "1"))]);
        (world, peer)
    }

    /// The whole of it: what it costs, and how much of it is to be seen.
    async fn whole(&self) -> (BillingEvent, u64) {
        let mut turn = self.turn(&self.chunks());
        turn.push(Step::Send(b"0\r\n\r\n".to_vec()));
        let (world, _peer) = self.world(turn, AbortBilling::Stops).await;
        let reply = world.post(self.path, &self.body()).await;
        assert_eq!(reply.status, 200, "{self:?}: {reply:?}");
        world.recorded(1).await;
        let last = world.finals().pop().unwrap();
        assert_eq!((last.outcome, last.method), (Outcome::Completed, MeterMethod::Reported), "{self:?}");
        (last, visible(&reply.body))
    }
}

fn framed(data: &[u8]) -> Step {
    Step::Send([format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat())
}

/// Bytes of text and of tools' arguments in what a caller got.
fn visible(received: &str) -> u64 {
    fn of(value: &Value) -> usize {
        const SEEN: [&str; 6] = ["content", "arguments", "text", "partial_json", "thinking", "delta"];
        match value {
            Value::Array(all) => all.iter().map(of).sum(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| match value {
                    Value::String(text) if SEEN.contains(&name.as_str()) => text.len(),
                    other => of(other),
                })
                .sum(),
            _ => 0,
        }
    }
    let events = received.split('\n').filter_map(|line| line.trim().strip_prefix("data:"));
    let sizes = events.filter_map(|data| serde_json::from_str(data.trim()).ok()).map(|event| of(&event));
    sizes.sum::<usize>() as u64
}

/// Asks, reads what there is, and leaves when nothing more comes for a moment.
async fn leave(world: &World, recorded: &Recorded) -> String {
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let bearer = format!("Bearer {}", world.key);
    let bytes = request("POST", recorded.path, &[("authorization", &bearer)], &recorded.body());
    socket.write_all(&bytes).await.unwrap();
    let (mut seen, mut some) = (Vec::new(), [0; 4096]);
    // The first bytes may take a while on a busy machine; whenever it leaves, what it saw must be covered.
    let mut patience = Duration::from_millis(400);
    while let Ok(Ok(read)) = tokio::time::timeout(patience, socket.read(&mut some)).await {
        if read == 0 {
            break;
        }
        seen.extend_from_slice(&some[..read]);
        patience = Duration::from_millis(60);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Leaves after so many chunks where an abort stops what is billed; nano-USD that were streamed.
async fn cut_off(recorded: Recorded, count: usize, whole: (BillingEvent, u64)) -> i64 {
    let mut turn = recorded.turn(&recorded.chunks()[..count]);
    turn.push(Step::UntilHangUp);
    let (world, _peer) = recorded.world(turn, AbortBilling::Stops).await;
    let received = leave(&world, &recorded).await;
    world.recorded(1).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    let finals = world.finals();
    assert_eq!(finals.len(), 1, "{recorded:?} after {count}");
    let (last, balance) = (&finals[0], world.balance(budget(1, "1").id).await);
    let (reported, all) = whole;
    // Its share of the tokens that the provider counted for all of it, and the input.
    let tokens = reported.usage.output_tokens * visible(&received).min(all) / all.max(1);
    let streamed = if tokens == 0 {
        0
    } else {
        i64::try_from(
            tokens * 2 + reported.usage.input_tokens.saturating_sub(reported.usage.cached_input_tokens),
        )
        .unwrap()
    };
    let covered = match (last.outcome, last.method) {
        (Outcome::Interrupted, MeterMethod::Counted) | (Outcome::Completed, MeterMethod::Reported) => {
            assert_eq!(balance.spent, last.cost, "{recorded:?} after {count}");
            last.cost
        }
        (Outcome::Unresolved, MeterMethod::Held) => {
            assert_eq!(balance.unresolved, last.holds[0].amount, "{recorded:?} after {count}");
            last.holds[0].amount
        }
        other => panic!("{recorded:?} after {count}: {other:?}"),
    };
    assert!(covered.get() >= streamed, "{recorded:?} after {count}: {covered:?} for {streamed}: {last:?}");
    streamed
}

/// Leaves after so many chunks where billing goes on: it is read to its end.
async fn read_on(recorded: Recorded, count: usize, whole: (BillingEvent, u64)) {
    let chunks = recorded.chunks();
    let mut turn = recorded.turn(&chunks[..count]);
    turn.push(Step::Pause(Duration::from_millis(600)));
    turn.extend(chunks[count..].iter().map(|chunk| framed(chunk)));
    turn.push(Step::Send(b"0\r\n\r\n".to_vec()));
    let (world, _peer) = recorded.world(turn, AbortBilling::Continues).await;
    leave(&world, &recorded).await;
    world.recorded(1).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    let finals = world.finals();
    let told: Vec<_> = finals.iter().map(|last| (last.outcome, last.method, last.cost)).collect();
    let exact = (Outcome::Completed, MeterMethod::Reported, whole.0.cost);
    assert_eq!(told, [exact], "{recorded:?} after {count}");
    assert_eq!(world.balance(budget(1, "1").id).await.spent, whole.0.cost);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_after_any_chunk_in_any_dialect_is_charged_for_at_least_what_was_streamed() {
    for recorded in ALL {
        let whole = recorded.whole().await;
        let cuts = (1..=recorded.chunks().len()).map(|count| cut_off(recorded, count, whole.clone()));
        let streamed: Vec<i64> = futures_util::stream::iter(cuts).buffered(8).collect().await;
        // The test's own test: something was streamed before the last abort, and more than before the first.
        let (first, last) = (streamed[0], streamed[streamed.len() - 1]);
        assert!(last > 0 && last >= first, "{recorded:?}: {streamed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_billing_goes_on_an_abort_after_any_chunk_in_any_dialect_is_charged_exactly() {
    for recorded in ALL {
        let whole = recorded.whole().await;
        let cuts = (1..recorded.chunks().len()).map(|count| read_on(recorded, count, whole.clone()));
        futures_util::stream::iter(cuts).buffered(16).collect::<Vec<()>>().await;
    }
}
