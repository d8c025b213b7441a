//! Writes chat completions: plain, streamed, errors, the model list.

use serde_json::{Value, json};

use crate::ask::{Ask, Invalid};
use crate::complete::{Answer, Completion, Counts, Finish};
use crate::script::Faults;
use crate::{likely, search};

const CREATED: u64 = 1_700_000_000;

fn finish(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop | Finish::StopSequence => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}

fn usage(counts: Counts) -> Value {
    json!({
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
        "prompt_tokens_details": {"cached_tokens": counts.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": counts.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
        }
    })
}

fn call_id(number: u64, answer: usize, call: usize) -> String {
    format!("call_{number:08x}{answer:02x}{call:02x}")
}

/// The whole answer as one JSON body.
pub(crate) fn plain(ask: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<u8> {
    let choices: Vec<Value> = completion
        .answers
        .iter()
        .enumerate()
        .map(|(index, answer)| {
            let mut message = json!({"role": "assistant", "content": answer.pieces.concat(), "refusal": null, "annotations": []});
            if !answer.calls.is_empty() {
                message["content"] = Value::Null;
                message["tool_calls"] = tool_calls(answer, index, number).into();
            }
            if completion.counts.units.searches > 0 {
                message["annotations"] = json!([search::url_citation()]);
            }
            json!({"index": index, "message": message, "logprobs": logprobs(ask, &answer.pieces),
                "finish_reason": finish(answer)})
        })
        .collect();
    let mut body = json!({
        "id": format!("chatcmpl-{number:024x}"), "object": "chat.completion", "created": CREATED, "model": ask.model,
        "choices": choices, "service_tier": "default", "system_fingerprint": "fp_simulated"
    });
    if !faults.omit_usage {
        body["usage"] = usage(completion.counts);
    }
    body.to_string().into_bytes()
}

fn logprobs(ask: &Ask, pieces: &[String]) -> Value {
    match ask.logprobs {
        Some(top) if !pieces.is_empty() => json!({"content": likely::entries(pieces, top), "refusal": null}),
        _ => Value::Null,
    }
}

fn tool_calls(answer: &Answer, index: usize, number: u64) -> Vec<Value> {
    let call = |(place, (name, arguments)): (usize, &(String, String))| {
        json!({
            "id": call_id(number, index, place), "type": "function",
            "function": {"name": name, "arguments": arguments}
        })
    };
    answer.calls.iter().enumerate().map(call).collect()
}

/// The answer as server-sent events, one entry a write.
pub(crate) fn stream(ask: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<Vec<u8>> {
    let writer = Writer { ask, number };
    let mut out = Vec::new();
    for (index, answer) in completion.answers.iter().enumerate() {
        let chunk = |delta: &Value| writer.chunk(index, delta, &[], None);
        out.push(chunk(&json!({"role": "assistant", "content": "", "refusal": null})));
        for group in answer.pieces.chunks(faults.tokens_per_chunk.max(1)) {
            out.push(writer.chunk(index, &json!({"content": group.concat()}), group, None));
        }
        if completion.counts.units.searches > 0 {
            out.push(chunk(&json!({"annotations": [search::url_citation()]})));
        }
        for (place, (name, arguments)) in answer.calls.iter().enumerate() {
            let id = call_id(number, index, place);
            let head = json!({"tool_calls": [{"index": place, "id": id, "type": "function",
                "function": {"name": name, "arguments": ""}}]});
            out.push(chunk(&head));
            let (first, second) = halves(arguments);
            for part in [first, second] {
                let delta = json!({"tool_calls": [{"index": place, "function": {"arguments": part}}]});
                out.push(chunk(&delta));
            }
        }
        let last = faults.usage_in_x_groq && index + 1 == completion.answers.len();
        let end = End { finish: finish(answer), groq: last.then(|| usage(completion.counts)) };
        out.push(writer.chunk(index, &json!({}), &[], Some(end)));
    }
    if ask.include_usage && !faults.omit_usage && !faults.usage_in_x_groq {
        let mut chunk = writer.head();
        chunk["choices"] = json!([]);
        chunk["usage"] = usage(completion.counts);
        out.push(event(&chunk));
    }
    out.push(b"data: [DONE]\n\n".to_vec());
    out
}

/// What the last chunk of an answer has.
struct End {
    finish: &'static str,
    /// The usage, where Groq tells it.
    groq: Option<Value>,
}

struct Writer<'a> {
    ask: &'a Ask,
    number: u64,
}

impl Writer<'_> {
    fn head(&self) -> Value {
        json!({
            "id": format!("chatcmpl-{:024x}", self.number), "object": "chat.completion.chunk", "created": CREATED,
            "model": self.ask.model, "service_tier": "default", "system_fingerprint": "fp_simulated"
        })
    }

    fn chunk(&self, index: usize, delta: &Value, pieces: &[String], end: Option<End>) -> Vec<u8> {
        let mut chunk = self.head();
        let (finish, groq) = end.map_or((None, None), |end| (Some(end.finish), end.groq));
        chunk["choices"] = json!([{"index": index, "delta": delta, "logprobs": logprobs(self.ask, pieces),
            "finish_reason": finish}]);
        if self.ask.include_usage {
            chunk["usage"] = Value::Null;
        }
        if let Some(usage) = groq {
            chunk["x_groq"] = json!({"id": "req_simulated", "usage": usage});
        }
        event(&chunk)
    }
}

fn halves(text: &str) -> (&str, &str) {
    let middle = (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text.split_at(middle)
}

fn event(chunk: &Value) -> Vec<u8> {
    format!("data: {chunk}\n\n").into_bytes()
}

/// An error body.
pub(crate) fn error_body(invalid: &Invalid) -> Vec<u8> {
    let kind = match invalid.status {
        401 => "invalid_request_error",
        429 => "rate_limit_exceeded",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({"error": {"message": invalid.message, "type": kind, "param": invalid.param, "code": invalid.code}})
        .to_string()
        .into_bytes()
}

/// An error inside a stream.
pub(crate) fn error_event() -> Vec<u8> {
    let error = json!({"error": {"message": "The server had an error while processing your request.",
        "type": "server_error", "param": null, "code": null}});
    event(&error)
}

/// The model list.
pub(crate) fn models(names: &[String]) -> Vec<u8> {
    let entry =
        |name: &String| json!({"id": name, "object": "model", "created": CREATED, "owned_by": "simulator"});
    json!({"object": "list", "data": names.iter().map(entry).collect::<Vec<_>>()}).to_string().into_bytes()
}
