//! Bedrock's Converse: what it refuses, what it accepts, and its frames.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::Bench;

const CLAUDE: &str = "/bedrock/model/us.anthropic.claude-sim-v1%3A0/converse";
const NOVA: &str = "/bedrock/model/amazon.nova-sim-v1%3A0/converse";

fn user(text: &str) -> Value {
    json!({"role": "user", "content": [{"text": text}]})
}

fn with(messages: Value, more: Value) -> Value {
    let mut body = json!({});
    body["messages"] = messages;
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

fn hello(more: Value) -> Value {
    with(json!([user("hello")]), more)
}

fn tools() -> Value {
    json!({"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json":
        {"type": "object", "properties": {"city": {"type": "string"}}}}}}]})
}

fn used() -> Value {
    json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "get_weather", "input": {}}}]})
}

fn result(id: &str) -> Value {
    json!({"role": "user", "content": [{"toolResult": {"toolUseId": id, "content": [{"text": "1"}]}}]})
}

fn refused() -> Vec<Value> {
    let answer = json!({"role": "assistant", "content": [{"text": "hi"}]});
    let said = |block: Value| json!([{"role": "user", "content": [block]}]);
    let one = |body: &Value| with(body.clone(), json!({"toolConfig": tools()}));
    let document =
        |name: &str| json!({"document": {"format": "pdf", "name": name, "source": {"bytes": "AA=="}}});
    let mut cases: Vec<Value> = [
        json!([]),
        json!([answer]),
        json!([user("a"), user("b")]),
        json!([user("a"), answer, answer]),
        json!([{"role": "user", "content": []}]),
        json!([{"role": "wizard", "content": [{"text": "x"}]}]),
        json!([{"role": "user", "content": "x"}]),
        said(json!({"text": " "})),
        said(json!({"text": "x", "cachePoint": {"type": "default"}})),
        said(json!({"cachePoint": {"type": "default"}})),
        said(json!({"type": "text", "text": "x"})),
        said(json!({"image": {"format": "tiff", "source": {"bytes": "AA=="}}})),
        said(json!({"image": {"format": "png", "source": {"bytes": "!"}}})),
        said(json!({"toolUse": {"toolUseId": "t", "name": "n", "input": {}}})),
        said(document("report")),
        json!([{"role": "user", "content": [{"text": "x"}, document("a.pdf")]}]),
        json!([{"role": "user", "content": [{"text": "x"}, document("a"), document("a")]}]),
        json!([result("t1")]),
        json!([user("x"), used()]),
        json!([user("x"), used(), user("y")]),
        json!([user("x"), used(), result("t2")]),
        json!([user("x"), {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": "x"}}}]}, user("y")]),
    ]
    .iter()
    .map(one)
    .collect();
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 2048}});
    cases.extend([
        with(json!([user("x"), used(), result("t1")]), json!({})),
        hello(json!({"modelId": "x"})),
        hello(json!({"stream": true})),
        hello(json!({"inferenceConfig": {"maxTokens": 0}})),
        hello(json!({"inferenceConfig": {"temperature": 1.1}})),
        hello(json!({"inferenceConfig": {"topK": 1}})),
        hello(json!({"toolConfig": {"tools": []}})),
        hello(json!({"toolConfig": {"tools": [{"toolSpec": {"name": "no spaces", "inputSchema": {"json": {"type": "object"}}}}]}})),
        hello(json!({"toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {}}}}]}})),
        hello(json!({"toolConfig": {"tools": [{"toolSpec": {"name": "a", "description": "", "inputSchema": {"json": {"type": "object"}}}}]}})),
        hello(json!({"system": [{"text": ""}]})),
        hello(json!({"system": [{"image": {}}]})),
        hello(json!({"additionalModelRequestFields": {"brand_new": 1}})),
        hello(json!({"additionalModelRequestFields": thinking, "inferenceConfig": {"maxTokens": 2048}})),
        hello(json!({"additionalModelRequestFields": thinking, "inferenceConfig": {"temperature": 0.5}})),
        hello(json!({"outputConfig": {"effort": "huge"}})),
        hello(json!({"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": {}}}}}})),
    ]);
    cases
}

#[tokio::test]
async fn what_the_real_service_refuses_is_refused() {
    let bench = Bench::start().await;
    for body in refused() {
        let answer = bench.post(CLAUDE, &body).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.headers()["x-amzn-errortype"], "ValidationException");
        let error: Value = answer.json().await.unwrap();
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    let marked = json!([{"role": "user", "content": [{"text": "x"}, {"cachePoint": {"type": "default"}}]}]);
    let plain = "/bedrock/model/meta.llama-sim/converse";
    assert_eq!(bench.post(plain, &with(marked, json!({}))).await.status(), 403, "no cache there");
    let late = json!([user("a"), {"role": "system", "content": [{"text": "b"}]}]);
    assert_eq!(bench.post(NOVA, &with(late, json!({}))).await.status(), 400);
    assert_eq!(bench.bill().await.total_nano_usd, 0, "refusals cost nothing");
}

#[tokio::test]
async fn keys_and_signatures_are_asked_for() {
    let bench = Bench::start().await;
    let ask = |authorization: Option<&str>| {
        let request = bench.client.post(format!("{}{CLAUDE}", bench.simulator.url())).json(&hello(json!({})));
        let request =
            authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
        async move { request.send().await.unwrap() }
    };
    for (given, kind) in [
        (None, "MissingAuthenticationTokenException"),
        (Some("AWS4-HMAC-SHA256 x"), "IncompleteSignatureException"),
    ] {
        let answer = ask(given).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-amzn-errortype"].to_str().unwrap()),
            (403, &kind)
        );
    }
    assert_eq!(ask(Some("Bearer k")).await.status(), 200, "control");
}

#[tokio::test]
async fn what_the_real_service_accepts_is_accepted() {
    let bench = Bench::start().await;
    let closed = r#"{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"type":"string"}}}"#;
    let format = json!({"type": "json_schema", "structure": {"jsonSchema": {"schema": closed, "name": "x"}}});
    for body in [
        hello(
            json!({"system": [{"text": "be brief"}, {"cachePoint": {"type": "default", "ttl": "1h"}}], "inferenceConfig": {}}),
        ),
        with(json!([user("x"), used(), result("t1")]), json!({"toolConfig": tools()})),
        with(json!([user("a"), {"role": "system", "content": [{"text": "b"}]}]), json!({})),
        hello(json!({"outputConfig": {"textFormat": format, "effort": "max"}})),
        hello(json!({"additionalModelRequestFields": {"thinking": {"type": "adaptive"}, "top_k": 3}})),
        with(
            json!([{"role": "user", "content": [{"text": "x"}, {"image": {"format": "png", "source": {"bytes": BASE64_STANDARD.encode("x")}}}]}]),
            json!({"requestMetadata": {"a": "b"}, "performanceConfig": {"latency": "standard"}}),
        ),
    ] {
        let answer = bench.post(CLAUDE, &body).await;
        assert_eq!(answer.status(), 200, "{body}: {}", answer.text().await.unwrap());
    }
}

#[tokio::test]
async fn answers_are_billed_as_they_report_and_streams_come_in_frames() {
    let bench = Bench::start().await;
    let body = hello(
        json!({"toolConfig": tools(), "additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}),
    );
    let plain: Value = bench.post(CLAUDE, &body).await.json().await.unwrap();
    assert_eq!(plain["stopReason"], "end_turn");
    assert!(
        plain["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]["signature"]
            .is_string()
    );
    let bill = bench.bill().await;
    let line = &bill.calls[0];
    assert_eq!(
        (line.provider.as_str(), line.model.as_str()),
        ("sim-bedrock", "us.anthropic.claude-sim-v1:0")
    );
    assert_eq!(plain["usage"]["outputTokens"], line.usage.output_tokens);
    let weather = with(json!([user("What is the weather?")]), json!({"toolConfig": tools()}));
    let answer = bench.post(&format!("{CLAUDE}-stream"), &weather).await;
    assert_eq!(answer.headers()["content-type"], "application/vnd.amazon.eventstream");
    let bytes = answer.bytes().await.unwrap();
    let mut rest = bytes.as_ref();
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let number = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
        let (total, headers) = (number(0) as usize, number(4) as usize);
        assert_eq!(crc32fast::hash(&rest[..8]), number(8));
        assert_eq!(crc32fast::hash(&rest[..total - 4]), number(total - 4));
        frames.push(serde_json::from_slice::<Value>(&rest[12 + headers..total - 4]).unwrap());
        rest = &rest[total..];
    }
    assert_eq!(frames[0]["role"], "assistant");
    assert_eq!(frames[1]["start"]["toolUse"]["name"], "get_weather");
    let [.., stop, metadata] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!(stop["stopReason"], "tool_use");
    assert_eq!(metadata["usage"]["outputTokens"], bench.bill().await.calls[1].usage.output_tokens);
}

#[tokio::test]
async fn scripted_errors_are_exceptions() {
    let bench = Bench::start().await;
    bench.script(json!({"status": 429})).await;
    let answer = bench.post(CLAUDE, &hello(json!({}))).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-amzn-errortype"].to_str().unwrap()),
        (429, &"ThrottlingException")
    );
    bench.script(json!({"cut_after_bytes": 150, "ending": "error_event"})).await;
    let answer = bench.post(&format!("{CLAUDE}-stream"), &hello(json!({}))).await.bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("serviceUnavailableException"));
}
