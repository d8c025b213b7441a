//! The simulator as a judge: it refuses, counts, breaks off and bills as scripted.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bedrock;
mod cache;
mod cohere;
mod gemini;
mod refuse;
mod responses;

use std::collections::BTreeMap;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tidegate_simulator::{Bill, ModelPrice, Settings, Simulator};

struct Bench {
    simulator: Simulator,
    client: Client,
}

impl Bench {
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let price = ModelPrice { input: 1_001, output: 2_003, cached_input: 500 };
        let prices = BTreeMap::from([("sim".to_owned(), price)]);
        let settings = Settings { prices, ..Settings::default() };
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap();
        Self { simulator, client: Client::builder().build().unwrap() }
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self.client.post(format!("{}{path}", self.simulator.url())).bearer_auth("k");
        let request = request.header("anthropic-version", "2023-06-01");
        request.header("x-client-request-id", "gen_test").json(body).send().await.unwrap()
    }

    async fn script(&self, then: Value) {
        let answer = self.post("/script", &json!({"rules": [{"then": then}]})).await;
        assert_eq!(answer.status(), 200);
    }

    async fn bill(&self) -> Bill {
        self.client.get(format!("{}/bill", self.simulator.url())).send().await.unwrap().json().await.unwrap()
    }
}

fn chat(text: &str) -> Value {
    json!({"model": "sim", "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn a_plain_answer_is_billed_as_it_reports() {
    let bench = Bench::start().await;
    let answer: Value =
        bench.post("/openai/v1/chat/completions", &chat("say 12 words")).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], ["word"; 12].join(" "));
    let bill = bench.bill().await;
    let line = &bill.calls[0];
    assert_eq!(line.call_id, "gen_test");
    assert_eq!(answer["usage"]["completion_tokens"], line.usage.output_tokens);
    assert!(line.usage.reasoning_tokens >= 8, "hidden reasoning is billed by default");
    let pico = line.usage.input_tokens * 1_001 + line.usage.output_tokens * 2_003;
    assert_eq!(line.nano_usd, pico.div_ceil(1000) as i64);
    assert_eq!(bill.total_nano_usd, line.nano_usd);
}

#[tokio::test]
async fn limits_stops_and_tools_are_obeyed() {
    let bench = Bench::start().await;
    let mut body = chat("say 50 words");
    body["max_tokens"] = json!(5);
    let answer: Value = bench.post("/openai/v1/chat/completions", &body).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 5);
    let mut body = chat("What is the weather?");
    body["tools"] = json!([{"type": "function", "function": {"name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    let answer: Value = bench.post("/openai/v1/chat/completions", &body).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "get_weather");
    let message = json!({"model": "sim", "max_tokens": 50, "stop_sequences": ["simulated"],
        "messages": [{"role": "user", "content": "hello"}]});
    let answer: Value = bench.post("/anthropic/v1/messages", &message).await.json().await.unwrap();
    assert_eq!(answer["stop_reason"], "stop_sequence");
    assert_eq!(answer["content"][0]["text"], "This is a ");
}

#[tokio::test]
async fn an_early_leaver_is_billed_to_the_end() {
    let bench = Bench::start().await;
    bench.script(json!({"chunk_delay_ms": 20, "hidden_reasoning": false})).await;
    let mut body = chat("say 400 words");
    body["stream"] = json!(true);
    let mut answer = bench.post("/openai/v1/chat/completions", &body).await;
    answer.chunk().await.unwrap().unwrap();
    drop(answer);
    let bill = loop {
        let bill = bench.bill().await;
        if !bill.calls.is_empty() {
            break bill;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(bill.calls[0].usage.output_tokens, 400);
    assert!(!bill.calls[0].completed);
}

#[tokio::test]
async fn a_body_breaks_off_at_any_byte() {
    let bench = Bench::start().await;
    for (at, ending) in [(0, "close"), (0, "reset"), (1, "close"), (57, "reset"), (200, "close")] {
        bench.script(json!({"cut_after_bytes": at, "ending": ending})).await;
        let request = bench.client.post(format!("{}/openai/v1/chat/completions", bench.simulator.url()));
        let outcome = match request.bearer_auth("k").json(&chat("hello")).send().await {
            Ok(answer) => answer.bytes().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "cut at {at} with {ending}");
    }
}

#[tokio::test]
async fn streams_speak_both_dialects() {
    let bench = Bench::start().await;
    let mut body = chat("say 3 words");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let text = bench.post("/openai/v1/chat/completions", &body).await.text().await.unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"));
    assert!(text.contains("\"choices\":[],"));
    let body = json!({"model": "sim", "max_tokens": 50, "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let text = bench.post("/anthropic/v1/messages", &body).await.text().await.unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names.first(), Some(&"message_start"));
    assert_eq!(names.last(), Some(&"message_stop"));
}
