//! Writes answers: plain, streamed, counted, errors.

use serde_json::{Value, json};

use super::{SIGNATURE, signs_thoughts};
use crate::ask::{Ask, Invalid};
use crate::complete::{Answer, Completion, Counts, Finish};
use crate::script::Faults;
use crate::{likely, search};

fn finish(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop | Finish::StopSequence | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
    }
}

/// Thoughts stand beside the candidates' tokens. A count of zero is left out, as protobuf's JSON does.
fn usage(counts: Counts) -> Value {
    let visible = counts.output.saturating_sub(counts.reasoning);
    let mut usage = json!({
        "promptTokenCount": counts.input,
        "totalTokenCount": counts.input + counts.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": counts.input}]
    });
    for (key, tokens) in [
        ("candidatesTokenCount", visible),
        ("thoughtsTokenCount", counts.reasoning),
        ("cachedContentTokenCount", counts.cached),
    ] {
        if tokens > 0 {
            usage[key] = tokens.into();
        }
    }
    usage
}

/// Counts before the end: the prompt only.
fn first_usage(counts: Counts) -> Value {
    usage(Counts { output: 0, reasoning: 0, ..counts })
}

fn document(ask: &Ask, number: u64, candidates: &Value, usage: Option<Value>) -> Value {
    let mut body = json!({"candidates": candidates, "modelVersion": ask.model, "responseId": format!("sim{number:016x}")});
    if let Some(usage) = usage {
        body["usageMetadata"] = usage;
    }
    body
}

fn candidate(index: usize, parts: Vec<Value>, finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model"}, "index": index});
    if !parts.is_empty() {
        candidate["content"]["parts"] = parts.into();
    }
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    candidate
}

fn thought(answer: &Answer) -> Option<Value> {
    answer.thinking.as_ref().map(|text| json!({"text": text, "thought": true}))
}

/// Calls of functions: only newer models name them, and sign the first.
fn calls(ask: &Ask, answer: &Answer, index: usize, number: u64) -> Vec<Value> {
    let signs = signs_thoughts(&ask.model);
    let call = |(place, (name, arguments)): (usize, &(String, String))| {
        let args: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
        let mut part =
            json!({"functionCall": {"name": name, "args": if args.is_object() { args } else { json!({}) }}});
        if signs {
            part["functionCall"]["id"] = format!("fc{number:08x}{index:02x}{place:02x}").into();
            if place == 0 {
                part["thoughtSignature"] = SIGNATURE.into();
            }
        }
        part
    };
    answer.calls.iter().enumerate().map(call).collect()
}

/// What was searched for: also queries that are not billed, an empty one and one that was made before.
fn ground(candidate: &mut Value, counts: Counts) {
    if counts.units.searches > 0 {
        let mut queries: Vec<String> = (0..search::EACH).map(search::query).collect();
        queries.extend([String::new(), search::query(0)]);
        candidate["groundingMetadata"] = json!({"webSearchQueries": queries,
            "groundingChunks": [{"web": {"uri": search::URL, "title": search::TITLE}}], "groundingSupports": []});
    }
}

/// The whole answer as one JSON body.
pub(crate) fn plain(ask: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<u8> {
    let of = |(index, answer): (usize, &Answer)| {
        let mut parts: Vec<Value> = thought(answer).into_iter().collect();
        if !answer.pieces.is_empty() {
            let mut text = json!({"text": answer.pieces.concat()});
            if signs_thoughts(&ask.model) {
                text["thoughtSignature"] = SIGNATURE.into();
            }
            parts.push(text);
        }
        parts.extend(calls(ask, answer, index, number));
        let mut candidate = candidate(index, parts, Some(finish(answer)));
        if let Some(top) = ask.logprobs {
            candidate["logprobsResult"] = likely::result(&answer.pieces, top);
        }
        ground(&mut candidate, completion.counts);
        candidate
    };
    let candidates: Value = completion.answers.iter().enumerate().map(of).collect();
    let usage = (!faults.omit_usage).then(|| usage(completion.counts));
    document(ask, number, &candidates, usage).to_string().into_bytes()
}

/// The answer as server-sent events, one entry a write. Nothing marks the end.
pub(crate) fn stream(ask: &Ask, completion: &Completion, faults: &Faults, number: u64) -> Vec<Vec<u8>> {
    let told = |whole: bool| {
        let counts = completion.counts;
        (!faults.omit_usage).then(|| if whole { usage(counts) } else { first_usage(counts) })
    };
    let mut out = Vec::new();
    let last = completion.answers.len().saturating_sub(1);
    for (index, answer) in completion.answers.iter().enumerate() {
        let mut chunk = |parts: Vec<Value>, pieces: &[String]| {
            let mut candidate = candidate(index, parts, None);
            if let Some(top) = ask.logprobs.filter(|_| !pieces.is_empty()) {
                candidate["logprobsResult"] = likely::result(pieces, top);
            }
            out.push(event(&document(ask, number, &json!([candidate]), told(false))));
        };
        thought(answer).into_iter().for_each(|part| chunk(vec![part], &[]));
        for group in answer.pieces.chunks(faults.tokens_per_chunk.max(1)) {
            chunk(vec![json!({"text": group.concat()})], group);
        }
        let calls = calls(ask, answer, index, number);
        if !calls.is_empty() {
            chunk(calls, &[]);
        }
        let mut end = json!({"text": ""});
        if signs_thoughts(&ask.model) && answer.calls.is_empty() {
            end["thoughtSignature"] = SIGNATURE.into();
        }
        let mut candidate = candidate(index, vec![end], Some(finish(answer)));
        ground(&mut candidate, completion.counts);
        out.push(event(&document(ask, number, &json!([candidate]), told(index == last))));
    }
    out
}

/// The answer of `countTokens`.
pub(crate) fn counted(completion: &Completion) -> Vec<u8> {
    let tokens = completion.counts.input;
    json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})
        .to_string()
        .into_bytes()
}

fn event(chunk: &Value) -> Vec<u8> {
    format!("data: {chunk}\r\n\r\n").into_bytes()
}

/// An error body.
pub(crate) fn error_body(invalid: &Invalid) -> Vec<u8> {
    let word = match invalid.status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    let mut body = json!({"error": {"code": invalid.status, "message": invalid.message, "status": word}});
    if let Some(reason) = invalid.code {
        body["error"]["details"] = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
            "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}]);
    }
    body.to_string().into_bytes()
}

/// An error inside a stream.
pub(crate) fn error_event() -> Vec<u8> {
    event(
        &json!({"error": {"code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"}}),
    )
}
