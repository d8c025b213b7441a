//! Writes messages: plain, streamed, errors.

use serde_json::{Value, json};

use crate::ask::{Ask, Invalid};
use crate::complete::{Answer, Completion, Counts, Finish, Units};
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

/// How many tokens a prompt has.
pub(crate) fn counted(completion: &Completion) -> Vec<u8> {
    json!({"input_tokens": completion.counts.input}).to_string().into_bytes()
}

/// `input_tokens` leaves out what was read from the cache and written to it.
fn usage(counts: Counts, output: u64) -> Value {
    let searches = counts.units.searches;
    let searched = if searches > 0 {
        json!({"web_search_requests": searches, "web_fetch_requests": 0})
    } else {
        Value::Null
    };
    json!({
        "server_tool_use": searched,
        "input_tokens": counts.input - counts.cached - counts.written,
        "cache_creation_input_tokens": counts.written,
        "cache_read_input_tokens": counts.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": counts.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": counts.reasoning.min(output)},
        "service_tier": "standard"
    })
}

/// Calls of the service's own search, and what it found.
fn searched(counts: Counts, number: u64) -> impl Iterator<Item = Value> {
    (0..counts.units.searches).flat_map(move |place| {
        let id = format!("srvtoolu_{number:016x}{place:02x}");
        let found = json!({"type": "web_search_result", "url": search::URL, "title": search::TITLE,
            "encrypted_content": "c2ltdWxhdGVk", "page_age": null});
        [
            json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": search::query(place)}}),
            json!({"type": "web_search_tool_result", "tool_use_id": id, "content": [found]}),
        ]
    })
}

fn blocks(ask: &Ask, answer: &Answer, counts: Counts, number: u64) -> Vec<Value> {
    let mut out = Vec::new();
    if let Some(thinking) = &answer.thinking {
        let thinking = if ask.thinking_omitted { "" } else { thinking };
        out.push(json!({"type": "thinking", "thinking": thinking, "signature": format!("sim-{number:08x}")}));
    }
    out.extend(searched(counts, number));
    if !answer.pieces.is_empty() {
        out.push(json!({"type": "text", "text": answer.pieces.concat()}));
    }
    for (place, (name, arguments)) in answer.calls.iter().enumerate() {
        let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
        let input = if input.is_object() { input } else { json!({}) };
        out.push(json!({"type": "tool_use", "id": format!("toolu_{number:016x}{place:02x}"), "name": name, "input": input}));
    }
    out
}

fn message(ask: &Ask, number: u64) -> Value {
    json!({
        "id": format!("msg_{number:024x}"), "type": "message", "role": "assistant", "model": ask.model,
        "content": [], "stop_reason": null, "stop_sequence": null
    })
}

/// The whole answer as one JSON body.
pub(crate) fn plain(ask: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<u8> {
    let mut body = message(ask, number);
    if let Some(answer) = completion.answers.first() {
        body["content"] = blocks(ask, answer, completion.counts, number).into();
        body["stop_reason"] = stop_reason(answer).into();
        body["stop_sequence"] = json!(answer.stopped_by);
    }
    if !faults.omit_usage {
        body["usage"] = usage(completion.counts, completion.counts.output);
    }
    body.to_string().into_bytes()
}

/// The answer as server-sent events, one entry a write.
pub(crate) fn stream(ask: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<Vec<u8>> {
    let mut start = message(ask, number);
    let none_yet = Counts { units: Units::default(), ..completion.counts };
    start["usage"] = usage(none_yet, 1);
    let mut out = vec![event("message_start", &json!({"type": "message_start", "message": start}))];
    out.push(event("ping", &json!({"type": "ping"})));
    let Some(answer) = completion.answers.first() else { return out };
    for (index, block) in blocks(ask, answer, completion.counts, number).iter().enumerate() {
        stream_block(&mut out, index, block, answer, faults);
    }
    let mut end = json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(answer), "stop_sequence": answer.stopped_by}
    });
    if !faults.omit_usage {
        end["usage"] = usage(completion.counts, completion.counts.output);
    }
    out.push(event("message_delta", &end));
    out.push(event("message_stop", &json!({"type": "message_stop"})));
    out
}

fn stream_block(out: &mut Vec<Vec<u8>>, index: usize, block: &Value, answer: &Answer, faults: &Faults) {
    let (empty, deltas) = match block.get("type").and_then(Value::as_str) {
        Some("thinking") => {
            let deltas = vec![
                json!({"type": "thinking_delta", "thinking": block["thinking"]}),
                json!({"type": "signature_delta", "signature": block["signature"]}),
            ];
            (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
        }
        Some("web_search_tool_result") => (block.clone(), Vec::new()),
        Some(kind @ ("tool_use" | "server_tool_use")) => {
            let text = block["input"].to_string();
            let delta = |part: &str| json!({"type": "input_json_delta", "partial_json": part});
            let middle =
                (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            let (first, second) = text.split_at(middle);
            let start = json!({"type": kind, "id": block["id"], "name": block["name"], "input": {}});
            (start, vec![delta(""), delta(first), delta(second)])
        }
        _ => {
            let groups = answer.pieces.chunks(faults.tokens_per_chunk.max(1));
            let deltas = groups.map(|group| json!({"type": "text_delta", "text": group.concat()})).collect();
            (json!({"type": "text", "text": ""}), deltas)
        }
    };
    let start = json!({"type": "content_block_start", "index": index, "content_block": empty});
    out.push(event("content_block_start", &start));
    for delta in deltas {
        let part = json!({"type": "content_block_delta", "index": index, "delta": delta});
        out.push(event("content_block_delta", &part));
    }
    out.push(event("content_block_stop", &json!({"type": "content_block_stop", "index": index})));
}

fn event(name: &str, data: &Value) -> Vec<u8> {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// An error body.
pub(crate) fn error_body(invalid: &Invalid) -> Vec<u8> {
    let kind = match invalid.status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": invalid.message}, "request_id": "req_simulated"})
        .to_string()
        .into_bytes()
}

/// An error inside a stream.
pub(crate) fn error_event() -> Vec<u8> {
    event("error", &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}))
}
