//! Whole answers of Cohere's chat, both ways.

use super::usage;
use crate::answer::AnswerFacts;
use crate::canonical::{Answer, Json, Logprobs, Part, Stop};
use crate::json::{Kind, Value, Writer};
use crate::{AnswerFault, Content};

/// Why the model stopped.
pub(super) fn stop(word: &str) -> Result<Stop, AnswerFault> {
    match word {
        "COMPLETE" => Ok(Stop::EndTurn),
        "STOP_SEQUENCE" => Ok(Stop::Sequence),
        "MAX_TOKENS" => Ok(Stop::Limit),
        "TOOL_CALL" => Ok(Stop::ToolUse),
        "ERROR_TOXIC" => Ok(Stop::Refusal),
        "ERROR" | "TIMEOUT" => Err(AnswerFault::Malformed("the provider broke its answer off")),
        // Taking an unknown word for an end would show a broken answer as a complete one.
        _ => Err(AnswerFault::Malformed("unknown finish_reason")),
    }
}

pub(super) fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "COMPLETE",
        Stop::Sequence => "STOP_SEQUENCE",
        Stop::Limit | Stop::Window => "MAX_TOKENS",
        Stop::ToolUse => "TOOL_CALL",
        Stop::Refusal => "ERROR_TOXIC",
    }
}

/// A text that is not empty.
pub(super) fn some_text(value: Option<Value<'_>>) -> Option<Content> {
    value.and_then(|value| value.text()).filter(|text| !text.is_empty()).map(Content::new)
}

/// The JSON object that a text is; an empty text is an empty object.
pub(super) fn object(text: &str) -> Option<Json> {
    if text.trim().is_empty() {
        return Some(Json::of_valid(*b"{}"));
    }
    let value = Value::parse(text.as_bytes()).ok()?;
    (value.kind() == Kind::Object).then(|| Json::from(&value))
}

/// Decodes a whole answer. Citations stay behind, the text does not.
pub(super) fn decode(root: &Value<'_>) -> Result<Answer, AnswerFault> {
    let message = root.get("message").ok_or(AnswerFault::Malformed("no message"))?;
    let reason = some_text(root.get("finish_reason")).ok_or(AnswerFault::Malformed("no finish_reason"))?;
    let mut parts = Vec::new();
    if let Some(text) = some_text(message.get("tool_plan")) {
        parts.push(Part::Thinking { text, signature: None });
    }
    for block in message.get("content").into_iter().flat_map(|content| content.elements()) {
        match block.get("type").and_then(|kind| kind.text()).as_deref() {
            Some("text") => {
                let text = some_text(block.get("text"));
                parts.extend(text.map(|text| Part::Text { text, cache: None }));
            }
            Some("thinking") => {
                let text = some_text(block.get("thinking"));
                parts.extend(text.map(|text| Part::Thinking { text, signature: None }));
            }
            _ => return Err(AnswerFault::Untranslatable("an unknown kind of content")),
        }
    }
    for (at, call) in message.get("tool_calls").into_iter().flat_map(|calls| calls.elements()).enumerate() {
        parts.push(tool_call(&call, at)?);
    }
    Ok(Answer {
        model: None,
        parts,
        stop: stop(reason.expose())?,
        stop_sequence: None,
        usage: root.get("usage").and_then(|counts| usage::read(&counts)),
        logprobs: Logprobs::default(),
    })
}

fn tool_call(call: &Value<'_>, at: usize) -> Result<Part, AnswerFault> {
    let function =
        call.get("function").ok_or(AnswerFault::Untranslatable("a tool call that is no function"))?;
    let text = |value| some_text(value).map(Content::into_string);
    let arguments = text(function.get("arguments")).unwrap_or_default();
    Ok(Part::ToolUse {
        id: text(call.get("id")).unwrap_or_else(|| format!("call_{at}")),
        name: text(function.get("name")).ok_or(AnswerFault::Malformed("a tool call without a name"))?,
        input: object(&arguments).ok_or(AnswerFault::Malformed("arguments that are no JSON object"))?,
        cache: None,
    })
}

/// Encodes a whole answer.
pub(super) fn encode(answer: &Answer, facts: &AnswerFacts) -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("id").text(&facts.call_id).key("finish_reason").text(stop_word(answer.stop));
        json.key("message").object(|json| {
            json.key("role").text("assistant");
            json.key("content").array(|json| answer.parts.iter().for_each(|part| write_content(json, part)));
            write_calls(json, &answer.parts);
        });
        usage::write(json.key("usage"), &answer.usage.unwrap_or_default());
    });
    json.into_bytes()
}

pub(super) fn write_content(json: &mut Writer, part: &Part) {
    let (kind, text) = match part {
        Part::Text { text, .. } => ("text", text),
        Part::Thinking { text, .. } => ("thinking", text),
        _ => return,
    };
    json.object(|json| json.key("type").text(kind).key(kind).text(text.expose()).done());
}

/// `tool_calls`, if there are any.
pub(super) fn write_calls<'p>(json: &mut Writer, parts: impl IntoIterator<Item = &'p Part>) {
    let calls = parts.into_iter().filter_map(|part| match part {
        Part::ToolUse { id, name, input, .. } => Some((id, name, input)),
        _ => None,
    });
    let calls: Vec<_> = calls.collect();
    if calls.is_empty() {
        return;
    }
    json.key("tool_calls").array(|json| {
        for (id, name, input) in calls {
            json.object(|json| {
                json.key("id").text(id).key("type").text("function").key("function").object(|json| {
                    json.key("name").text(name).key("arguments").text(&input.text());
                });
            });
        }
    });
}
