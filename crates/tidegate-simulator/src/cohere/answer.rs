//! Writes answers of Cohere's chat: plain, streamed, errors.

use serde_json::{Value, json};

use crate::ask::{Ask, Invalid};
use crate::complete::{Answer, Completion, Counts, Finish};
use crate::script::Faults;

/// What Cohere adds to every prompt, and bills nobody for.
const ADDED: u64 = 60;

fn reason(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop => "COMPLETE",
        Finish::StopSequence => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::ToolCalls => "TOOL_CALL",
    }
}

fn usage(counts: Counts) -> Value {
    json!({
        "billed_units": {"input_tokens": counts.input, "output_tokens": counts.output},
        "tokens": {"input_tokens": counts.input + ADDED, "output_tokens": counts.output},
        "cached_tokens": counts.cached,
    })
}

fn calls(answer: &Answer, number: u64) -> Vec<Value> {
    let call = |(place, (name, arguments)): (usize, &(String, String))| {
        json!({"id": format!("{name}_{number:08x}{place:02x}"), "type": "function",
            "function": {"name": name, "arguments": arguments}})
    };
    answer.calls.iter().enumerate().map(call).collect()
}

const PLAN: &str = "I will use the tools that I have.";

/// The whole answer as one JSON body.
pub(crate) fn plain(_: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<u8> {
    let Some(answer) = completion.answers.first() else { return Vec::new() };
    let mut message = json!({"role": "assistant"});
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(json!({"type": "thinking", "thinking": thinking}));
    }
    if !answer.pieces.is_empty() {
        content.push(json!({"type": "text", "text": answer.pieces.concat()}));
    }
    if !content.is_empty() {
        message["content"] = content.into();
    }
    if !answer.calls.is_empty() {
        message["tool_plan"] = PLAN.into();
        message["tool_calls"] = calls(answer, number).into();
    }
    let mut body =
        json!({"id": format!("sim-{number:08x}"), "finish_reason": reason(answer), "message": message});
    if !faults.omit_usage {
        body["usage"] = usage(completion.counts);
    }
    body.to_string().into_bytes()
}

/// The answer as server-sent events, one entry a write.
pub(crate) fn stream(_: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<Vec<u8>> {
    let id = format!("sim-{number:08x}");
    let start =
        json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let mut out = vec![event("message-start", json!({"id": id, "delta": {"message": start}}))];
    let Some(answer) = completion.answers.first() else { return out };
    let mut index = 0;
    let mut block = |kind: &str, pieces: Vec<String>| {
        let mut piece = |name: &str, content: Value| {
            out.push(event(name, json!({"index": index, "delta": {"message": {"content": content}}})));
        };
        piece("content-start", json!({"type": kind, kind: ""}));
        pieces.into_iter().for_each(|text| piece("content-delta", json!({kind: text})));
        out.push(event("content-end", json!({"index": index})));
        index += 1;
    };
    if let Some(thinking) = &answer.thinking {
        block("thinking", vec![thinking.clone()]);
    }
    if !answer.pieces.is_empty() {
        let groups = answer.pieces.chunks(faults.tokens_per_chunk.max(1));
        block("text", groups.map(|group| group.concat()).collect());
    }
    if !answer.calls.is_empty() {
        out.push(event("tool-plan-delta", json!({"delta": {"message": {"tool_plan": PLAN}}})));
    }
    for (index, mut call) in calls(answer, number).into_iter().enumerate() {
        let arguments = call["function"]["arguments"].take();
        call["function"]["arguments"] = "".into();
        let piece = |name: &str, call: Value| {
            event(name, json!({"index": index, "delta": {"message": {"tool_calls": call}}}))
        };
        out.push(piece("tool-call-start", call));
        out.push(piece("tool-call-delta", json!({"function": {"arguments": arguments}})));
        out.push(event("tool-call-end", json!({"index": index})));
    }
    let mut delta = json!({"finish_reason": reason(answer)});
    if !faults.omit_usage {
        delta["usage"] = usage(completion.counts);
    }
    out.push(event("message-end", json!({"id": id, "delta": delta})));
    out
}

fn event(name: &str, mut data: Value) -> Vec<u8> {
    data["type"] = name.into();
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// An error body.
pub(crate) fn error_body(invalid: &Invalid) -> Vec<u8> {
    json!({"id": "sim-error", "message": invalid.message}).to_string().into_bytes()
}

/// An error inside a stream.
pub(crate) fn error_event() -> Vec<u8> {
    event("message-end", json!({"delta": {"finish_reason": "ERROR", "error": "internal server error"}}))
}
