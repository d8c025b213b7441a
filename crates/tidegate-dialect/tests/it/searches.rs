//! Searches of the web: which tools make them, and how many an answer tells of, by whichever dialect.

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_dialect::answer::complete;
use tidegate_dialect::eventstream::frame;
use tidegate_dialect::read::{self, Outside};
use tidegate_dialect::{Dialect, stream::AnswerStream};

use crate::support::{OPENAI, facts, run};

const GEMINI: Dialect = Dialect::Gemini;
const BEDROCK: Dialect = Dialect::BedrockConverse;

fn most(surface: Dialect, body: &Value) -> u64 {
    let outside = match body.get("model") {
        Some(_) => Outside::default(),
        None => Outside { model: Some("m"), stream: Some(false), ..Outside::default() },
    };
    read::call(surface, outside, body.to_string().into()).unwrap().input.most.searches
}

#[test]
fn tools_that_search_need_a_price_of_searches_whatever_they_are_called() {
    let gemini = |tool: Value| json!({"contents": [], "tools": [tool]});
    let ai_sdk =
        |id: &str| json!({"prompt": [], "tools": [{"type": "provider", "id": id, "name": "t", "args": {}}]});
    let bedrock =
        |name: &str| json!({"messages": [], "toolConfig": {"tools": [{"systemTool": {"name": name}}]}});
    let named = |kind: &str| json!({"model": "m", "messages": [], "input": [], "tools": [{"type": kind, "name": "t"}]});
    for (surface, body, searches) in [
        (GEMINI, gemini(json!({"googleSearch": {}})), 1),
        (GEMINI, gemini(json!({"google_search": {}})), 1),
        (GEMINI, gemini(json!({"googleSearchRetrieval": {}})), 1),
        (GEMINI, gemini(json!({"enterprise_web_search": {}})), 1),
        (GEMINI, gemini(json!({"codeExecution": {}})), 0),
        (GEMINI, gemini(json!({"googleSearch": null, "functionDeclarations": []})), 0),
        (BEDROCK, bedrock("nova_grounding"), 1),
        (BEDROCK, bedrock("nova_code_interpreter"), 0),
        (Dialect::AiSdk, ai_sdk("openai.web_search"), 1),
        (Dialect::AiSdk, ai_sdk("openai.web_search_preview"), 1),
        (Dialect::AiSdk, ai_sdk("anthropic.web_search_20250305"), 1),
        (Dialect::AiSdk, ai_sdk("google.google_search"), 1),
        (Dialect::AiSdk, ai_sdk("openai.file_search"), 0),
        (Dialect::OpenaiResponses, named("web_search"), 1),
        (Dialect::OpenaiResponses, named("file_search"), 0),
        (Dialect::AnthropicMessages, named("web_search_20250305"), 1),
        (OPENAI, named("browser_search"), 1),
        (OPENAI, json!({"model": "m", "messages": [], "web_search_options": {}}), 1),
    ] {
        assert_eq!(most(surface, &body), searches, "{surface:?} {body}");
    }
}

fn searched(dialect: Dialect, body: &Value) -> u64 {
    let body = Bytes::from(body.to_string());
    complete(dialect, dialect, &body, &facts(true)).unwrap().usage.unwrap().searches
}

fn grounded(model: &str, queries: &Value) -> Value {
    json!({"modelVersion": model, "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP",
        "groundingMetadata": {"webSearchQueries": queries}}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}})
}

#[test]
fn gemini_bills_queries_or_prompts_by_its_generation() {
    let queries = json!(["tides", "", "gates", "tides"]);
    assert_eq!(
        searched(GEMINI, &grounded("gemini-3-pro", &queries)),
        2,
        "empty ones and repeated ones are free"
    );
    assert_eq!(searched(GEMINI, &grounded("gemini-2.5-flash", &queries)), 1);
    assert_eq!(searched(GEMINI, &grounded("gemini-2.5-flash", &json!([]))), 0);
    let chunk = |body: Value| format!("data: {body}\n\n");
    let mut open = grounded("gemini-3-pro", &queries);
    open["candidates"][0].as_object_mut().unwrap().remove("finishReason");
    let mut last = grounded("gemini-3-pro", &json!([]));
    last["candidates"][0].as_object_mut().unwrap().remove("groundingMetadata");
    let ran = run(GEMINI, GEMINI, true, &[(chunk(open) + &chunk(last)).into()]);
    assert_eq!(ran.facts.usage.unwrap().searches, 2, "told before the last chunk");
}

#[test]
fn bedrock_bills_each_search_that_it_ran() {
    let tool = |kind: Value, name: &str| json!({"toolUse": {"toolUseId": "t", "name": name, "type": kind, "input": {}}});
    let content = json!([
        tool(json!("server_tool_use"), "nova_grounding"), tool(json!("server_tool_use"), "nova_grounding"),
        tool(json!("server_tool_use"), "nova_code_interpreter"), tool(Value::Null, "nova_grounding"), {"text": "x"},
    ]);
    let body = json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}});
    assert_eq!(searched(BEDROCK, &body), 2, "a tool of the client's may have the same name");
    let event = |name: &str, body: Value| {
        let headers =
            [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
        frame(&headers, body.to_string().as_bytes())
    };
    let start = json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "nova_grounding",
        "type": "server_tool_use"}}});
    let stream = [
        event("messageStart", json!({"role": "assistant"})),
        event("contentBlockStart", start),
        event("contentBlockStop", json!({"contentBlockIndex": 0})),
        event("messageStop", json!({"stopReason": "end_turn"})),
        event("metadata", json!({"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}})),
    ];
    let mut answer = AnswerStream::new(BEDROCK, BEDROCK, &facts(true));
    answer.push(&stream.concat().into(), &mut Vec::new());
    assert_eq!(answer.facts().usage.unwrap().searches, 1);
}

#[test]
fn a_chat_completion_that_cites_pages_was_searched_for() {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    let body = |kind: &str| {
        json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "x",
            "annotations": [{"type": kind, "url_citation": {"url": "https://tides"}}]}}], "usage": usage})
    };
    assert_eq!(searched(OPENAI, &body("url_citation")), 1);
    assert_eq!(searched(OPENAI, &body("file_citation")), 0);
    let chunk = |delta: Value, finish: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let events = [
        chunk(json!({"content": "x", "annotations": [{"type": "url_citation"}]}), Value::Null),
        chunk(json!({}), json!("stop")),
        json!({"choices": [], "usage": usage}),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let ran = run(OPENAI, OPENAI, false, &[(stream + "data: [DONE]\n\n").into()]);
    assert_eq!(ran.facts.usage.unwrap().searches, 1);
}
