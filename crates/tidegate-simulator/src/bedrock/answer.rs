//! Writes answers of Converse: plain, in frames, errors.

use serde_json::{Value, json};

use super::frame::frame;
use crate::ask::{Ask, Invalid};
use crate::complete::{Answer, Completion, Counts, Finish};
use crate::script::Faults;
use crate::search;

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
    }
}

/// `inputTokens` leave out what was read from the cache and written to it.
fn usage(counts: Counts) -> Value {
    json!({
        "inputTokens": counts.input - counts.cached - counts.written,
        "outputTokens": counts.output,
        "totalTokens": counts.input + counts.output,
        "cacheReadInputTokens": counts.cached,
        "cacheWriteInputTokens": counts.written,
    })
}

fn tool_uses(answer: &Answer, number: u64) -> impl Iterator<Item = (String, &str, Value)> {
    answer.calls.iter().enumerate().map(move |(place, (name, arguments))| {
        let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
        let input = if input.is_object() { input } else { json!({}) };
        (format!("tooluse_{number:016x}{place:02x}"), name.as_str(), input)
    })
}

/// Searches that the service ran, each with its result; what it found stands in the text's citations.
fn searched(completion: &Completion, number: u64) -> impl Iterator<Item = (String, String, Value)> {
    (0..completion.counts.units.searches).map(move |place| {
        let id = format!("tooluse_search{number:08x}{place:02x}");
        (id, "nova_grounding".to_owned(), json!({"query": search::query(place)}))
    })
}

/// The whole answer as one JSON body.
pub(crate) fn plain(_: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<u8> {
    let Some(answer) = completion.answers.first() else { return Vec::new() };
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        let signature = format!("sim-{number:08x}");
        content
            .push(json!({"reasoningContent": {"reasoningText": {"text": thinking, "signature": signature}}}));
    }
    for (id, name, input) in searched(completion, number) {
        let kind = "server_tool_use";
        content.push(json!({"toolUse": {"toolUseId": id, "name": name, "type": kind, "input": input}}));
        content.push(
            json!({"toolResult": {"toolUseId": id, "type": "nova_grounding_result", "status": "success",
            "content": []}}),
        );
    }
    if !answer.pieces.is_empty() {
        content.push(json!({"text": answer.pieces.concat()}));
    }
    for (id, name, input) in tool_uses(answer, number) {
        content.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}));
    }
    let mut body = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(answer),
        "metrics": {"latencyMs": 1},
    });
    if !faults.omit_usage {
        body["usage"] = usage(completion.counts);
    }
    body.to_string().into_bytes()
}

/// The answer as frames, one entry a write.
pub(crate) fn stream(_: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<Vec<u8>> {
    let mut out = vec![event("messageStart", json!({"role": "assistant"}))];
    let Some(answer) = completion.answers.first() else { return out };
    let mut index = 0;
    let mut block = |start: Option<Value>, deltas: Vec<Value>| {
        if let Some(start) = start {
            out.push(event("contentBlockStart", json!({"contentBlockIndex": index, "start": start})));
        }
        for delta in deltas {
            out.push(event("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta})));
        }
        out.push(event("contentBlockStop", json!({"contentBlockIndex": index})));
        index += 1;
    };
    if let Some(thinking) = &answer.thinking {
        let thought = |key: &str, text: &str| json!({"reasoningContent": {key: text}});
        block(None, vec![thought("text", thinking), thought("signature", &format!("sim-{number:08x}"))]);
    }
    for (id, name, input) in searched(completion, number) {
        let start = json!({"toolUse": {"toolUseId": id, "name": name, "type": "server_tool_use"}});
        block(Some(start), vec![json!({"toolUse": {"input": input.to_string()}})]);
        let start =
            json!({"toolResult": {"toolUseId": id, "type": "nova_grounding_result", "status": "success"}});
        block(Some(start), Vec::new());
    }
    if !answer.pieces.is_empty() {
        let groups = answer.pieces.chunks(faults.tokens_per_chunk.max(1));
        block(None, groups.map(|group| json!({"text": group.concat()})).collect());
    }
    for (id, name, input) in tool_uses(answer, number) {
        let text = input.to_string();
        let middle = (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        let (first, second) = text.split_at(middle);
        let delta = |part: &str| json!({"toolUse": {"input": part}});
        let start = json!({"toolUse": {"toolUseId": id, "name": name}});
        block(Some(start), vec![delta(""), delta(first), delta(second)]);
    }
    out.push(event("messageStop", json!({"stopReason": stop_reason(answer)})));
    if !faults.omit_usage {
        let metadata = json!({"usage": usage(completion.counts), "metrics": {"latencyMs": 1}});
        out.push(event("metadata", metadata));
    }
    out
}

/// Like the real service, events are padded so that their size does not tell what is in them.
fn event(name: &str, mut data: Value) -> Vec<u8> {
    data["p"] = "abcdefghijklmnopqrstuvwxyz".chars().take(name.len()).collect::<String>().into();
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    frame(headers, data.to_string().as_bytes())
}

/// An error body; its type stands in a header.
pub(crate) fn error_body(invalid: &Invalid) -> Vec<u8> {
    json!({"message": invalid.message}).to_string().into_bytes()
}

/// The type of an error.
pub(crate) fn error_type(invalid: &Invalid) -> &'static str {
    invalid.code.unwrap_or(match invalid.status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 | 529 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    })
}

/// An error inside a stream.
pub(crate) fn error_event() -> Vec<u8> {
    let headers = [
        (":exception-type", "serviceUnavailableException"),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    frame(headers, br#"{"message":"Bedrock is unable to process your request."}"#)
}
