//! Cohere's chat: what it refuses, what it accepts, and its streams.

use serde_json::{Value, json};

use crate::Bench;

const CHAT: &str = "/cohere/v2/chat";

fn with(messages: Value, more: Value) -> Value {
    let mut body = json!({"model": "sim"});
    body["messages"] = messages;
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

fn hello(more: Value) -> Value {
    with(json!([{"role": "user", "content": "hello"}]), more)
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])
}

#[tokio::test]
async fn what_the_real_service_refuses_is_refused() {
    let bench = Bench::start().await;
    let user = json!({"role": "user", "content": "hello"});
    let used = json!({"role": "assistant", "tool_plan": "p", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "1"});
    for body in [
        with(json!([]), json!({})),
        with(json!([{"role": "wizard", "content": "x"}]), json!({})),
        with(json!([{"role": "user", "content": ""}]), json!({})),
        with(json!([user, {"role": "assistant", "content": ""}, user]), json!({})),
        with(json!([user, used]), json!({})),
        with(json!([user, used, user]), json!({})),
        with(json!([user, used, result("x")]), json!({})),
        with(json!([result("t")]), json!({})),
        with(json!([{"role": "user", "content": [{"type": "file"}]}]), json!({})),
        hello(json!({"top_p": 0.5})),
        hello(json!({"frequency_penalty": 1.5})),
        hello(json!({"stop_sequences": ["1", "2", "3", "4", "5", "6"]})),
        hello(json!({"tool_choice": "REQUIRED"})),
        hello(json!({"tools": tools(), "tool_choice": "auto"})),
        hello(json!({"tools": tools(), "response_format": {"type": "json_object"}})),
        hello(json!({"tools": [{"type": "function", "function": {"name": "a"}}]})),
        hello(json!({"thinking": {"type": "adaptive"}})),
        hello(json!({"safety_mode": "LOOSE"})),
    ] {
        let answer = bench.post(CHAT, &body).await;
        assert_eq!(answer.status(), 400, "{body}");
        let error: Value = answer.json().await.unwrap();
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    assert_eq!(bench.bill().await.total_nano_usd, 0, "refusals cost nothing");
    for body in [
        with(
            json!([{"role": "system", "content": "brief"}, user, used, result("t"), user]),
            json!({"tools": tools(), "strict_tools": true}),
        ),
        hello(
            json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}, "seed": 1, "p": 0.9, "k": 3}),
        ),
        with(
            json!([{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]),
            json!({}),
        ),
    ] {
        let answer = bench.post(CHAT, &body).await;
        assert_eq!(answer.status(), 200, "{body}: {}", answer.text().await.unwrap());
    }
}

#[tokio::test]
async fn answers_are_billed_as_they_report_and_streams_end_with_usage() {
    let bench = Bench::start().await;
    let body = hello(json!({"thinking": {"type": "enabled"}}));
    let plain: Value = bench.post(CHAT, &body).await.json().await.unwrap();
    assert_eq!(plain["message"]["content"][0]["type"], "thinking");
    let line = bench.bill().await.calls.remove(0);
    assert_eq!(line.provider, "sim-cohere");
    assert_eq!(plain["usage"]["billed_units"]["output_tokens"], line.usage.output_tokens);
    assert_eq!(plain["usage"]["billed_units"]["input_tokens"], line.usage.input_tokens);
    let weather =
        with(json!([{"role": "user", "content": "the weather?"}]), json!({"tools": tools(), "stream": true}));
    let text = bench.post(CHAT, &weather).await.text().await.unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(
        names,
        [
            "message-start",
            "tool-plan-delta",
            "tool-call-start",
            "tool-call-delta",
            "tool-call-end",
            "message-end"
        ]
    );
    let end: Value = serde_json::from_str(
        text.lines().rfind(|line| line.starts_with("data")).unwrap().trim_start_matches("data: "),
    )
    .unwrap();
    assert_eq!(end["delta"]["finish_reason"], "TOOL_CALL");
    assert_eq!(
        end["delta"]["usage"]["billed_units"]["output_tokens"],
        bench.bill().await.calls[1].usage.output_tokens
    );
}
