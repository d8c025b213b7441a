//! Counts: what is cached, what is thought, what is long.

use serde_json::{Value, json};

use crate::{Bench, chat};

const ANTHROPIC: &str = "/anthropic/v1/messages";

#[tokio::test]
async fn a_marked_prefix_is_written_once_and_read_afterwards() {
    let bench = Bench::start().await;
    let system = json!([{"type": "text", "text": "know this well ".repeat(600), "cache_control": {"type": "ephemeral"}}]);
    let body = json!({"model": "sim", "max_tokens": 50, "system": system, "messages": [{"role": "user", "content": "hello"}]});
    let first: Value = bench.post(ANTHROPIC, &body).await.json().await.unwrap();
    let second: Value = bench.post(ANTHROPIC, &body).await.json().await.unwrap();
    let written = first["usage"]["cache_creation_input_tokens"].as_u64().unwrap();
    assert!(written >= 1024);
    assert_eq!(first["usage"]["cache_read_input_tokens"], 0);
    assert_eq!(second["usage"]["cache_read_input_tokens"], written);
    assert_eq!(second["usage"]["cache_creation_input_tokens"], 0);
    assert_eq!(first["usage"]["input_tokens"], second["usage"]["input_tokens"]);
    let bill = bench.bill().await;
    assert_eq!(bill.calls[0].usage.cache_creation_input_tokens, written);
    assert_eq!(bill.calls[1].usage.cached_input_tokens, written);
    assert!(bill.calls[1].nano_usd < bill.calls[0].nano_usd);
}

#[tokio::test]
async fn short_prefixes_are_not_cached() {
    let bench = Bench::start().await;
    let marked =
        json!([{"type": "text", "text": "short", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]);
    let body = json!({"model": "sim", "max_tokens": 50, "messages": [{"role": "user", "content": marked}]});
    let answer: Value = bench.post(ANTHROPIC, &body).await.json().await.unwrap();
    assert_eq!(answer["usage"]["cache_creation_input_tokens"], 0);
}

#[tokio::test]
async fn thinking_and_hidden_reasoning_stay_within_the_limit() {
    let bench = Bench::start().await;
    for limit in [1, 3, 12, 40] {
        let body = json!({"model": "sim", "max_tokens": limit, "thinking": {"type": "adaptive"},
            "messages": [{"role": "user", "content": "say 100 words"}]});
        let answer: Value = bench.post(ANTHROPIC, &body).await.json().await.unwrap();
        let output = answer["usage"]["output_tokens"].as_u64().unwrap();
        let thought = answer["usage"]["output_tokens_details"]["thinking_tokens"].as_u64().unwrap();
        assert!(output <= limit && thought <= output, "{answer}");
        assert_eq!(answer["stop_reason"], "max_tokens");
    }
}

#[tokio::test]
async fn any_language_and_any_length_is_counted() {
    let bench = Bench::start().await;
    for text in
        ["日本語のテキスト 🙂👩‍👩‍👧‍👦 Ελληνικά", "\u{0}\u{200d}", &"a".repeat(2_000_000), &"🙂".repeat(100_000)]
    {
        let mut body = chat(text);
        body["stream"] = json!(true);
        let answer = bench.post("/openai/v1/chat/completions", &body).await.text().await.unwrap();
        assert!(answer.ends_with("data: [DONE]\n\n"));
    }
    let bill = bench.bill().await;
    let [short, .., long, faces] = bill.calls.as_slice() else { panic!("four calls") };
    assert!(short.usage.input_tokens > 10);
    assert!((100_000..2_000_000).contains(&long.usage.input_tokens), "{long:?}");
    assert!(faces.usage.input_tokens >= 50_000);
}
