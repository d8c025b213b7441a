//! OpenAI responses: strict about requests, whole about answers, on the bill like chat.

use serde_json::{Value, json};

use crate::Bench;

const PATH: &str = "/openai/v1/responses";

async fn asked(bench: &Bench, body: &Value) -> (u16, Value) {
    let answer = bench.post(PATH, body).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn events(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn an_answer_is_billed_as_it_reports_plain_and_streamed() {
    let bench = Bench::start().await;
    let mut body = json!({"model": "sim", "input": "say 12 words", "instructions": "be brief"});
    let (status, answer) = asked(&bench, &body).await;
    assert_eq!((status, &answer["status"]), (200, &json!("completed")));
    assert_eq!(answer["output"][0]["content"][0]["text"], ["word"; 12].join(" "));
    body["stream"] = json!(true);
    let text = bench.post(PATH, &body).await.text().await.unwrap();
    assert!(!text.contains("[DONE]"));
    let events = events(&text);
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let said: String = events
        .iter()
        .filter(|e| e["type"] == "response.output_text.delta")
        .filter_map(|e| e["delta"].as_str())
        .collect();
    assert_eq!(said, ["word"; 12].join(" "));
    let last = &events.last().unwrap()["response"];
    assert_eq!((&last["status"], &last["usage"]), (&json!("completed"), &answer["usage"]));
    let bill = bench.bill().await;
    for line in &bill.calls {
        assert_eq!(line.provider, "sim-openai");
        assert_eq!(answer["usage"]["output_tokens"], line.usage.output_tokens);
        assert_eq!(answer["usage"]["output_tokens_details"]["reasoning_tokens"], line.usage.reasoning_tokens);
    }
    assert_eq!(bill.calls.len(), 2);
}

#[tokio::test]
async fn limits_tools_schemas_and_reasoning_are_obeyed() {
    let bench = Bench::start().await;
    let (_, answer) =
        asked(&bench, &json!({"model": "sim", "input": "say 50 words", "max_output_tokens": 16})).await;
    assert_eq!(
        (&answer["status"], &answer["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    assert_eq!(answer["usage"]["output_tokens"], 16);
    let tool = json!({"type": "function", "name": "get_weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}}});
    let ask = json!({"model": "sim", "tools": [tool], "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"}, "input": [{"role": "user", "content": "What is the weather?"}]});
    let (_, answer) = asked(&bench, &ask).await;
    let call = &answer["output"][1];
    assert_eq!((&answer["output"][0]["type"], &call["name"]), (&json!("reasoning"), &json!("get_weather")));
    let mut next = ask.clone();
    next["input"] = json!([{"role": "user", "content": "What is the weather?"}, answer["output"][0], call,
        {"type": "function_call_output", "call_id": call["call_id"], "output": [{"type": "input_text", "text": "sun"}]}]);
    let (status, answer) = asked(&bench, &next).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["output"][1]["content"][0]["text"], "The tool said: sun");
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    let (_, answer) = asked(
        &bench,
        &json!({"model": "sim", "input": "Paris",
        "text": {"format": {"type": "json_schema", "name": "a", "schema": schema, "strict": true}}}),
    )
    .await;
    let text = answer["output"][0]["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"city": "Paris"}));
}

/// A request with this member in place of its own.
fn of(member: Value) -> Value {
    let mut body = json!({"model": "sim", "input": "x"});
    if let Value::Object(members) = member {
        body.as_object_mut().unwrap().extend(members);
    }
    body
}

fn items(items: &Value) -> Value {
    of(json!({"input": items}))
}

#[tokio::test]
async fn what_the_service_would_refuse_is_refused_in_its_words() {
    let bench = Bench::start().await;
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let cases = [
        (of(json!({"stop": ["x"]})), "unknown_parameter", "stop"),
        (of(json!({"messages": []})), "unknown_parameter", "messages"),
        (json!({"model": "sim"}), "missing_required_parameter", "input"),
        (of(json!({"max_output_tokens": 5})), "integer_below_min_value", "max_output_tokens"),
        (
            of(json!({"previous_response_id": "resp_1"})),
            "previous_response_not_found",
            "previous_response_id",
        ),
        (of(json!({"include": ["everything"]})), "invalid_value", "include[0]"),
        (of(json!({"reasoning": {"effort": "much"}})), "invalid_value", "reasoning.effort"),
        (
            of(json!({"tools": [{"type": "function", "function": {"name": "f"}}]})),
            "unknown_parameter",
            "tools[0].function",
        ),
        (
            of(json!({"tools": [{"type": "function", "name": "f", "strict": true, "parameters": open}]})),
            "invalid_function_parameters",
            "tools[0].parameters",
        ),
        (
            of(
                json!({"text": {"format": {"type": "json_schema", "name": "n", "strict": true, "schema": open}}}),
            ),
            "invalid_json_schema",
            "text.format.schema",
        ),
        (items(&json!([{"role": "critic", "content": "x"}])), "invalid_value", "input[0].role"),
        (items(&json!([{"role": "tool", "content": "x"}])), "invalid_value", "input[0].role"),
        (items(&json!([{"type": "tool_result"}])), "invalid_value", "input[0].type"),
        (
            items(&json!([{"role": "user", "content": [{"type": "text", "text": "x"}]}])),
            "invalid_value",
            "input[0].content[0].type",
        ),
        (
            items(&json!([{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}])),
            "invalid_value",
            "input[0].content[0].type",
        ),
        (
            items(&json!([{"role": "assistant", "content": "x", "provider_metadata": {}}])),
            "unknown_parameter",
            "input[0].provider_metadata",
        ),
        (
            items(&json!([{"role": "assistant", "id": "gen_1", "content": "x"}])),
            "invalid_value",
            "input[0].id",
        ),
        (
            items(&json!([{"type": "function_call", "call_id": "c", "name": "f"}])),
            "missing_required_parameter",
            "input[0].arguments",
        ),
    ];
    for (body, code, param) in cases {
        let (status, answer) = asked(&bench, &body).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["code"], &error["param"]),
            (400, &json!(code), &json!(param)),
            "{body} {answer}"
        );
        assert_eq!(error["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn items_that_do_not_belong_together_are_refused() {
    let bench = Bench::start().await;
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "c", "output": "x"});
    let reasoning = |sealed: Value| json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed});
    let messages = [
        (items(&json!([output])), 400, "No tool call found for function call output with call_id c."),
        (items(&json!([call])), 400, "No tool output found for function call c."),
        (items(&json!([{"id": "msg_1"}])), 404, "Item with id 'msg_1' not found."),
        (
            items(&json!([reasoning(json!("anthropic:x"))])),
            400,
            "The encrypted content for item rs_1 could not be verified.",
        ),
        (items(&json!([reasoning(Value::Null)])), 404, "Item with id 'rs_1' not found. Items are"),
    ];
    for (body, expected, message) in messages {
        let (status, answer) = asked(&bench, &body).await;
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(status == expected && said.starts_with(message), "{body} {answer}");
    }
    assert!(bench.bill().await.calls.is_empty());
}

#[tokio::test]
async fn a_stream_ends_in_an_error_as_scripted() {
    let bench = Bench::start().await;
    bench.script(json!({"cut_after_bytes": 3000, "ending": "error_event"})).await;
    let body = json!({"model": "sim", "input": "say 90 words", "stream": true});
    let text = bench.post(PATH, &body).await.text().await.unwrap();
    assert!(text.contains("event: error\ndata: {") && text.contains("\"type\":\"error\""));
    assert!(!text.contains("response.completed"));
}
