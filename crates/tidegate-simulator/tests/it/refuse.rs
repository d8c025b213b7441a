//! What the real services refuse is refused, and what they accept is accepted.

use serde_json::{Value, json};

use crate::Bench;

const OPENAI: &str = "/openai/v1/chat/completions";
const ANTHROPIC: &str = "/anthropic/v1/messages";

/// A request for "sim" with `messages`, and further members.
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

fn openai_refuses() -> Vec<Value> {
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let tool = |name: &str, strict: bool| json!([{"type": "function", "function": {"name": name, "strict": strict, "parameters": open}}]);
    vec![
        with(json!([]), json!({})),
        with(json!([{"role": "wizard", "content": "x"}]), json!({})),
        with(json!([{"role": "tool", "tool_call_id": "x", "content": "1"}]), json!({})),
        with(
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "no"}}]}]),
            json!({}),
        ),
        hello(json!({"provider_metadata": {}})),
        hello(json!({"n": 0})),
        hello(json!({"temperature": 2.5})),
        hello(json!({"stream_options": {"include_usage": true}})),
        hello(json!({"tool_choice": "required"})),
        hello(json!({"tools": tool("no spaces", false)})),
        hello(json!({"tools": tool("open", true)})),
        hello(json!({"response_format": {"type": "json_object"}})),
        hello(
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": open}}}),
        ),
    ]
}

fn anthropic_refuses() -> Vec<Value> {
    let user = json!({"role": "user", "content": "hello"});
    let answer = json!({"role": "assistant", "content": "hi"});
    let system = json!({"role": "system", "content": "be brief"});
    let tools = json!([{"name": "t", "input_schema": {"type": "object"}}]);
    let used =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "t", "input": {}}]});
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]});
    let marked = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let messages = [
        json!([system, user]),
        json!([user, answer, system, user]),
        json!([user, system, system]),
        json!([user, system, user]),
        json!([result]),
        json!([user, used]),
        json!([user, used, user]),
        json!([user, used, result, used, result]),
        json!([{"role": "user", "content": ""}]),
        json!([{"role": "user", "content": [{"type": "text", "text": ""}]}]),
        json!([{"role": "user", "content": [{"type": "text", "text": " \n"}]}]),
        json!([user, {"role": "assistant", "content": "Once "}]),
        json!([user, {"role": "assistant", "content": ""}, user]),
        json!([{"role": "user", "content": [marked, marked, marked, marked, marked]}]),
        json!([{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "AA=="}}]}]),
    ];
    let settings = [
        json!({"output_config": {"effort": "huge"}}),
        json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
        json!({"output_config": {"speed": 1}}),
        json!({"thinking": {"type": "adaptive"}, "temperature": 0.3}),
        json!({"thinking": {"type": "adaptive"}, "tools": tools, "tool_choice": {"type": "any"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1024}),
        json!({"thinking": {"type": "deep"}}),
        json!({"tools": [{"name": "t", "strict": true, "input_schema": {"type": "object"}}]}),
        json!({"tools": [{"name": "t", "input_schema": {"type": "object"}, "colour": 1}]}),
        json!({"tools": [tools[0], tools[0]]}),
        json!({"tool_choice": {"type": "tool", "name": "t"}}),
        json!({"stop_sequences": [" "]}),
        json!({"n": 2}),
        json!({"max_tokens": null}),
    ];
    let limited = |messages: Value| with(messages, json!({"max_tokens": 50, "tools": tools}));
    let mut cases: Vec<Value> = messages.into_iter().map(limited).collect();
    for more in settings {
        let mut body = hello(more);
        if body.get("max_tokens").is_none() {
            body["max_tokens"] = json!(50);
        }
        cases.push(body);
    }
    cases
}

#[tokio::test]
async fn what_a_real_provider_refuses_is_refused() {
    let bench = Bench::start().await;
    for (path, cases) in [(OPENAI, openai_refuses()), (ANTHROPIC, anthropic_refuses())] {
        for body in cases {
            let answer = bench.post(path, &body).await;
            assert_eq!(answer.status(), 400, "{body}");
            let error: Value = answer.json().await.unwrap();
            assert!(error["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        }
    }
    assert_eq!(bench.bill().await.total_nano_usd, 0, "refusals cost nothing");
}

#[tokio::test]
async fn what_a_real_provider_accepts_is_accepted() {
    let bench = Bench::start().await;
    let closed = json!({"type": "object", "additionalProperties": false, "required": ["a"], "properties": {"a": {"type": "string"}}});
    let user = json!({"role": "user", "content": "hello"});
    let answer = json!({"role": "assistant", "content": "hi"});
    let system = json!({"role": "system", "content": "be brief"});
    let cases = [
        (OPENAI, hello(json!({"n": 3, "stop": ["x"], "seed": 1, "store": false}))),
        (
            OPENAI,
            hello(
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": closed}}}),
            ),
        ),
        (OPENAI, with(json!([system, user, answer, system, user]), json!({}))),
        (OPENAI, with(json!([{"role": "user", "content": ""}]), json!({}))),
        (ANTHROPIC, with(json!([user, answer, user, system]), json!({"max_tokens": 50}))),
        (ANTHROPIC, with(json!([user, system, answer, user]), json!({"max_tokens": 50}))),
        (
            ANTHROPIC,
            hello(
                json!({"max_tokens": 50, "thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "xhigh"}}),
            ),
        ),
        (
            ANTHROPIC,
            hello(
                json!({"max_tokens": 50, "output_config": {"format": {"type": "json_schema", "schema": closed}}}),
            ),
        ),
        (
            ANTHROPIC,
            hello(
                json!({"max_tokens": 50, "tools": [{"name": "t", "strict": true, "input_schema": closed}]}),
            ),
        ),
    ];
    for (path, body) in cases {
        let answer = bench.post(path, &body).await;
        assert_eq!(answer.status(), 200, "{body}: {}", answer.text().await.unwrap());
    }
}
