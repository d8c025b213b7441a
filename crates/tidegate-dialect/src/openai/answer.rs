//! Whole answers of OpenAI chat completions, both ways.

use super::messages::object;
use super::reasoning::{self, Detail};
use crate::answer::AnswerFacts;
use crate::canonical::{Answer, Json, Logprobs, Part, Stop};
use crate::json::{Kind, Value, Writer};
use crate::usage::{read_openai, write_openai};
use crate::{AnswerFault, Content};

/// Why the model stopped; words of compatible services included.
pub(super) fn stop(word: &str) -> Result<Stop, AnswerFault> {
    match word {
        "stop" | "eos" | "eos_token" => Ok(Stop::EndTurn),
        "length" | "model_length" => Ok(Stop::Limit),
        "tool_calls" | "function_call" => Ok(Stop::ToolUse),
        "content_filter" => Ok(Stop::Refusal),
        // Taking an unknown word for an end would show a broken answer as a complete one.
        _ => Err(AnswerFault::Malformed("unknown finish_reason")),
    }
}

pub(super) fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::Sequence => "stop",
        Stop::Limit | Stop::Window => "length",
        Stop::ToolUse => "tool_calls",
        Stop::Refusal => "content_filter",
    }
}

/// Decodes a whole answer.
pub(crate) fn decode(root: &Value<'_>) -> Result<Answer, AnswerFault> {
    let choices = root.get("choices").ok_or(AnswerFault::Malformed("no choices"))?;
    let mut choices = choices.elements();
    let choice = choices.next().ok_or(AnswerFault::Malformed("no choices"))?;
    if choices.next().is_some() {
        return Err(AnswerFault::Untranslatable("more than one choice"));
    }
    let message = choice.get("message").ok_or(AnswerFault::Malformed("a choice without message"))?;
    let reason = choice.get("finish_reason").and_then(|reason| reason.text());
    Ok(Answer {
        model: root.get("model").and_then(|model| model.text()).map(|model| model.into_owned()),
        parts: parts(&message)?,
        stop: stop(&reason.ok_or(AnswerFault::Malformed("no finish_reason"))?)?,
        stop_sequence: None,
        usage: root.get("usage").and_then(|usage| read_openai(&usage)),
        logprobs: logprobs(&choice),
    })
}

/// Those of a choice: of its text, or of its refusal.
pub(super) fn logprobs(choice: &Value<'_>) -> Logprobs {
    let Some(told) = choice.get("logprobs").filter(|told| told.kind() == Kind::Object) else {
        return Logprobs::default();
    };
    let mut found = Logprobs::read(told.get("content"));
    found.append(&Logprobs::read(told.get("refusal")));
    found
}

/// The member of a choice.
pub(super) fn write_logprobs(json: &mut Writer, logprobs: &Logprobs) {
    json.key("logprobs");
    if logprobs.is_empty() {
        return json.null().done();
    }
    json.object(|json| {
        logprobs.write(json.key("content"));
        json.key("refusal").null();
    });
}

fn parts(message: &Value<'_>) -> Result<Vec<Part>, AnswerFault> {
    let text = |key: &str| message.get(key).and_then(|value| value.text()).filter(|text| !text.is_empty());
    let mut parts = Vec::new();
    if let Some(details) = message.get("reasoning_details") {
        reasoning::decode(&details, &mut parts);
    }
    if parts.is_empty()
        && let Some(thinking) = text("reasoning_content").or_else(|| text("reasoning"))
    {
        parts.push(Part::Thinking { text: Content::new(thinking), signature: None });
    }
    for key in ["content", "refusal"] {
        if let Some(text) = text(key) {
            parts.push(Part::Text { text: Content::new(text), cache: None });
        }
    }
    if message.get("audio").is_some_and(|audio| !audio.is_null()) {
        return Err(AnswerFault::Untranslatable("audio"));
    }
    if let Some(calls) = message.get("tool_calls") {
        for (at, call) in calls.elements().enumerate() {
            parts.push(tool_call(&call, at)?);
        }
    }
    Ok(parts)
}

fn tool_call(call: &Value<'_>, at: usize) -> Result<Part, AnswerFault> {
    let function =
        call.get("function").ok_or(AnswerFault::Untranslatable("a tool call that is no function"))?;
    let text = |value: Option<Value<'_>>| value.and_then(|value| value.text()).map(|text| text.into_owned());
    let arguments = text(function.get("arguments")).unwrap_or_default();
    Ok(Part::ToolUse {
        id: text(call.get("id")).filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{at}")),
        name: text(function.get("name")).ok_or(AnswerFault::Malformed("a tool call without a name"))?,
        input: object(&arguments).ok_or(AnswerFault::Malformed("arguments that are no JSON object"))?,
        cache: None,
    })
}

/// Encodes a whole answer.
pub(crate) fn encode(answer: &Answer, facts: &AnswerFacts) -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        head(json, facts, "chat.completion", answer.model.as_deref());
        json.key("choices").array(|json| {
            json.object(|json| {
                json.key("index").whole(0).key("message").object(|json| write_message(json, &answer.parts));
                write_logprobs(json, &answer.logprobs);
                json.key("finish_reason").text(stop_word(answer.stop));
            });
        });
        if let Some(usage) = &answer.usage {
            write_openai(json.key("usage"), usage);
        }
    });
    json.into_bytes()
}

/// The members that answers and chunks begin with.
pub(super) fn head(json: &mut Writer, facts: &AnswerFacts, object: &str, model: Option<&str>) {
    json.key("id").text(&facts.call_id).key("object").text(object);
    json.key("created").whole(facts.created.max(0).unsigned_abs());
    json.key("model").text(model.unwrap_or(&facts.model));
}

fn write_message(json: &mut Writer, parts: &[Part]) {
    json.key("role").text("assistant");
    let text = joined(parts, |part| match part {
        Part::Text { text, .. } => Some(text),
        _ => None,
    });
    match &text {
        Some(text) => json.key("content").text(text),
        None => json.key("content").null(),
    };
    json.key("refusal").null();
    write_reasoning(json, parts);
    let calls: Vec<_> = parts.iter().filter_map(as_call).collect();
    if !calls.is_empty() {
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
}

fn as_call(part: &Part) -> Option<(&str, &str, &Json)> {
    match part {
        Part::ToolUse { id, name, input, .. } => Some((id, name, input)),
        _ => None,
    }
}

fn joined<'p>(parts: &'p [Part], of: impl Fn(&'p Part) -> Option<&'p Content>) -> Option<String> {
    let texts: Vec<&str> = parts.iter().filter_map(of).map(Content::expose).collect();
    (!texts.is_empty()).then(|| texts.concat())
}

fn write_reasoning(json: &mut Writer, parts: &[Part]) {
    let thoughts =
        parts.iter().filter(|part| matches!(part, Part::Thinking { .. } | Part::RedactedThinking { .. }));
    let thoughts: Vec<&Part> = thoughts.collect();
    if thoughts.is_empty() {
        return;
    }
    let text = joined(parts, |part| match part {
        Part::Thinking { text, .. } => Some(text),
        _ => None,
    });
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        json.key("reasoning").text(&text);
    }
    json.key("reasoning_details").array(|json| {
        for (index, part) in (0..).zip(thoughts) {
            let detail = match part {
                Part::Thinking { text, signature } => Detail::Thinking {
                    text: Some(text.expose()),
                    signature: signature.as_ref().map(Content::expose),
                },
                Part::RedactedThinking { data } => Detail::Encrypted { data: data.expose() },
                _ => continue,
            };
            reasoning::write(json, index, &detail);
        }
    });
}
