//! What one chunk of a stream and one request cost: `cargo run --release --example chunk_cost`.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use tidegate_dialect::Dialect::{self, AnthropicMessages, OpenaiChat};
use tidegate_dialect::answer::AnswerFacts;
use tidegate_dialect::outbound::{self, Edits, LimitKey};
use tidegate_dialect::read;
use tidegate_dialect::stream::AnswerStream;

const ROUNDS: u32 = 200_000;

/// The best of ten batches: what it costs when nothing else runs.
fn time(name: &str, rounds: u32, mut run: impl FnMut()) {
    let batch = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..rounds / 10).for_each(|_| run());
        start.elapsed().as_nanos() / u128::from(rounds / 10)
    };
    let best = (0..10).map(|_| batch(&mut run)).min().unwrap_or(0);
    println!("{name:<44} {best:>8} ns");
}

fn stream(name: &str, surface: Dialect, target: Dialect, chunk: &'static str) {
    let facts = AnswerFacts {
        call_id: "gen_1".into(),
        model: "m".into(),
        created: 0,
        asked_usage: false,
        note: None,
        spec: 4,
        warnings: Vec::new(),
        asked: tidegate_dialect::Asked::default(),
        seal: None,
    };
    let mut stream = AnswerStream::new(surface, target, &facts);
    if target == AnthropicMessages {
        let start = concat!(
            "data: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\n",
            "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        );
        stream.push(&Bytes::from_static(start.as_bytes()), &mut Vec::new());
    }
    let chunk = Bytes::from_static(chunk.as_bytes());
    let mut out = Vec::with_capacity(8);
    time(name, ROUNDS, || {
        stream.push(black_box(&chunk), &mut out);
        black_box(&out);
        out.clear();
    });
}

fn main() {
    let openai = "data: {\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\"created\":1741569952,\"model\":\"gpt-5-2026-01-01\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" Hello\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
    let anthropic = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" Hello\"}}\n\n";
    stream("OpenAI chunk, passed through", OpenaiChat, OpenaiChat, openai);
    stream("Anthropic event, passed through", AnthropicMessages, AnthropicMessages, anthropic);
    stream("OpenAI chunk to Anthropic", AnthropicMessages, OpenaiChat, openai);
    stream("Anthropic event to OpenAI", OpenaiChat, AnthropicMessages, anthropic);
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(45);
    let message = format!("{{\"role\":\"user\",\"content\":\"{text}\"}}");
    let body =
        Bytes::from(format!("{{\"model\":\"openai/gpt-5\",\"messages\":[{message}],\"stream\":true}}"));
    let edits = Edits {
        provider: "openai",
        model: "gpt-5",
        output_limit: Some(1000),
        default_output_limit: 4096,
        limit_key: LimitKey::MaxCompletionTokens,
        no_stream_options: false,
        no_store: false,
        vertex: false,
    };
    for (name, target) in
        [("2 KiB request, same dialect", OpenaiChat), ("2 KiB request, translated", AnthropicMessages)]
    {
        time(name, ROUNDS / 4, || {
            if let Ok(call) = read::call(OpenaiChat, read::Outside::default(), black_box(body.clone())) {
                black_box(outbound::request(&call, target, &edits).is_ok());
            }
        });
    }
}
