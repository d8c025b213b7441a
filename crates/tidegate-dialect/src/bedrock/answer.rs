//! Whole answers of Converse, both ways.

use super::usage;
use crate::answer::AnswerFacts;
use crate::canonical::{Answer, Json, Logprobs, Part, Stop};
use crate::json::{Value, Writer};
use crate::{AnswerFault, Content};

/// Why the model stopped.
pub(super) fn stop(word: &str) -> Result<Stop, AnswerFault> {
    match word {
        "end_turn" => Ok(Stop::EndTurn),
        "stop_sequence" => Ok(Stop::Sequence),
        "max_tokens" => Ok(Stop::Limit),
        "model_context_window_exceeded" => Ok(Stop::Window),
        "tool_use" => Ok(Stop::ToolUse),
        "guardrail_intervened" | "content_filtered" => Ok(Stop::Refusal),
        "malformed_model_output" | "malformed_tool_use" => {
            Err(AnswerFault::Malformed("the provider could not read its model's output"))
        }
        // Taking an unknown word for an end would show a broken answer as a complete one.
        _ => Err(AnswerFault::Malformed("unknown stopReason")),
    }
}

pub(super) fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Limit => "max_tokens",
        Stop::Window => "model_context_window_exceeded",
        Stop::ToolUse => "tool_use",
        Stop::Refusal => "content_filtered",
    }
}

/// A string member.
pub(super) fn text_of(value: &Value<'_>, key: &str) -> Option<Content> {
    value.get(key).and_then(|value| value.text()).map(Content::new)
}

/// A string member that must be there.
pub(super) fn word_of(value: &Value<'_>, key: &str, why: &'static str) -> Result<String, AnswerFault> {
    text_of(value, key).map(Content::into_string).ok_or(AnswerFault::Malformed(why))
}

/// The content blocks of an answer.
pub(super) fn content<'a>(root: &Value<'a>) -> Result<Value<'a>, AnswerFault> {
    let message = root.get("output").and_then(|output| output.get("message"));
    message.and_then(|message| message.get("content")).ok_or(AnswerFault::Malformed("no output.message"))
}

/// The stop sequence, where the client asked for the model's own field of it.
pub(super) fn sequence(root: &Value<'_>) -> Option<Content> {
    text_of(&root.get("additionalModelResponseFields")?, "stop_sequence")
}

/// Decodes a whole answer. Metrics and traces stay behind.
pub(super) fn decode(root: &Value<'_>) -> Result<Answer, AnswerFault> {
    let mut parts = Vec::new();
    for block in content(root)?.elements() {
        part(&block, &mut parts)?;
    }
    Ok(Answer {
        model: None,
        parts,
        stop: stop(&word_of(root, "stopReason", "no stopReason")?)?,
        stop_sequence: sequence(root),
        usage: root.get("usage").and_then(|counts| usage::read(&counts)),
        logprobs: Logprobs::default(),
    })
}

fn part(block: &Value<'_>, parts: &mut Vec<Part>) -> Result<(), AnswerFault> {
    let member = block.members().next().ok_or(AnswerFault::Malformed("an empty content block"))?;
    let value = member.value;
    let text = |value: Option<Value<'_>>| {
        let text = value.and_then(|value| value.text()).map(Content::new);
        text.ok_or(AnswerFault::Malformed("a block without its text"))
    };
    match &*member.key {
        "text" => parts.push(Part::Text { text: text(Some(value))?, cache: None }),
        "reasoningContent" => parts.push(thinking(&value)?),
        "toolUse" => {
            if value.get("type").is_some() {
                return Err(AnswerFault::Untranslatable("a tool that the provider ran"));
            }
            let input = value.get("input").ok_or(AnswerFault::Malformed("a tool call without input"))?;
            parts.push(Part::ToolUse {
                id: word_of(&value, "toolUseId", "a tool call without id")?,
                name: word_of(&value, "name", "a tool call without name")?,
                input: Json::from(&input),
                cache: None,
            });
        }
        // What was cited stays behind, the text does not.
        "citationsContent" => {
            for cited in value.get("content").into_iter().flat_map(|list| list.elements()) {
                parts.push(Part::Text { text: text(cited.get("text"))?, cache: None });
            }
        }
        _ => return Err(AnswerFault::Untranslatable("an unknown kind of content block")),
    }
    Ok(())
}

fn thinking(value: &Value<'_>) -> Result<Part, AnswerFault> {
    if let Some(data) = text_of(value, "redactedContent") {
        return Ok(Part::RedactedThinking { data });
    }
    let inner = value.get("reasoningText").ok_or(AnswerFault::Malformed("reasoning without text"))?;
    let text = text_of(&inner, "text").ok_or(AnswerFault::Malformed("reasoning without text"))?;
    let signature = text_of(&inner, "signature").filter(|signature| !signature.is_empty());
    Ok(Part::Thinking { text, signature })
}

/// Encodes a whole answer.
pub(super) fn encode(answer: &Answer, _facts: &AnswerFacts) -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("output").object(|json| {
            json.key("message").object(|json| {
                json.key("role").text("assistant");
                json.key("content").array(|json| answer.parts.iter().for_each(|part| write(json, part)));
            });
        });
        write_stop(json, answer.stop, answer.stop_sequence.as_ref());
        usage::write(json.key("usage"), &answer.usage.unwrap_or_default());
        write_metrics(json);
    });
    json.into_bytes()
}

/// `stopReason`, and the sequence where models of Anthropic's would tell it.
pub(super) fn write_stop(json: &mut Writer, stop: Stop, sequence: Option<&Content>) {
    json.key("stopReason").text(stop_word(stop));
    if let Some(sequence) = sequence {
        json.key("additionalModelResponseFields").object(|json| {
            json.key("stop_sequence").text(sequence.expose());
        });
    }
}

/// Clients demand the member; how long the model took is not known here, so it says nothing.
pub(super) fn write_metrics(json: &mut Writer) {
    json.key("metrics").object(|json| json.key("latencyMs").whole(0).done());
}

fn write(json: &mut Writer, part: &Part) {
    match part {
        Part::Text { text, .. } => json.object(|json| json.key("text").text(text.expose()).done()).done(),
        Part::Thinking { text, signature } => {
            write_thinking(json, text, signature.as_ref().map(Content::expose))
        }
        Part::RedactedThinking { data } => write_redacted(json, data),
        Part::ToolUse { id, name, input, .. } => write_tool_use(json, id, name, input),
        // No answer of chat has others that a content block here could hold.
        _ => {}
    }
}

pub(super) fn write_tool_use(json: &mut Writer, id: &str, name: &str, input: &Json) {
    json.object(|json| {
        json.key("toolUse").object(|json| {
            json.key("toolUseId").text(id).key("name").text(name).key("input").raw(input);
        });
    });
}

pub(super) fn write_thinking(json: &mut Writer, text: &Content, signature: Option<&str>) {
    json.object(|json| {
        json.key("reasoningContent").object(|json| {
            json.key("reasoningText").object(|json| {
                json.key("text").text(text.expose());
                if let Some(signature) = signature {
                    json.key("signature").text(signature);
                }
            });
        });
    });
}

pub(super) fn write_redacted(json: &mut Writer, data: &Content) {
    json.object(|json| {
        json.key("reasoningContent").object(|json| json.key("redactedContent").text(data.expose()).done());
    });
}
