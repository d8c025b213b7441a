//! Whole answers of Anthropic messages, both ways.

use crate::answer::AnswerFacts;
use crate::canonical::{Answer, Json, Logprobs, Part, Stop};
use crate::json::{Value, Writer};
use crate::usage::{read_anthropic, write_anthropic};
use crate::{AnswerFault, Content};

use tidegate_types::usage::Usage;

/// Why the model stopped.
pub(super) fn stop(word: &str) -> Result<Stop, AnswerFault> {
    match word {
        "end_turn" => Ok(Stop::EndTurn),
        "stop_sequence" => Ok(Stop::Sequence),
        "max_tokens" => Ok(Stop::Limit),
        "model_context_window_exceeded" => Ok(Stop::Window),
        "tool_use" => Ok(Stop::ToolUse),
        "refusal" => Ok(Stop::Refusal),
        "pause_turn" => Err(AnswerFault::Untranslatable("pause_turn")),
        // Taking an unknown word for an end would show a broken answer as a complete one.
        _ => Err(AnswerFault::Malformed("unknown stop_reason")),
    }
}

pub(super) fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Limit => "max_tokens",
        Stop::Window => "model_context_window_exceeded",
        Stop::ToolUse => "tool_use",
        Stop::Refusal => "refusal",
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

/// Decodes a whole answer.
pub(crate) fn decode(root: &Value<'_>) -> Result<Answer, AnswerFault> {
    let content = root.get("content").ok_or(AnswerFault::Malformed("no content"))?;
    Ok(Answer {
        model: text_of(root, "model").map(Content::into_string),
        parts: content.elements().map(|block| part(&block)).collect::<Result<_, _>>()?,
        stop: stop(&word_of(root, "stop_reason", "no stop_reason")?)?,
        stop_sequence: text_of(root, "stop_sequence"),
        usage: root.get("usage").and_then(|usage| read_anthropic(&usage)),
        logprobs: Logprobs::default(),
    })
}

fn part(block: &Value<'_>) -> Result<Part, AnswerFault> {
    let text = |key| text_of(block, key).ok_or(AnswerFault::Malformed("a block without its text"));
    match word_of(block, "type", "a block without type")?.as_str() {
        "text" => Ok(Part::Text { text: text("text")?, cache: None }),
        "thinking" => {
            let signature = text_of(block, "signature").filter(|signature| !signature.is_empty());
            Ok(Part::Thinking { text: text("thinking")?, signature })
        }
        "redacted_thinking" => Ok(Part::RedactedThinking { data: text("data")? }),
        "tool_use" => {
            let input = block.get("input").ok_or(AnswerFault::Malformed("a tool call without input"))?;
            Ok(Part::ToolUse {
                id: word_of(block, "id", "a tool call without id")?,
                name: word_of(block, "name", "a tool call without name")?,
                input: Json::from(&input),
                cache: None,
            })
        }
        _ => Err(AnswerFault::Untranslatable("an unknown kind of content block")),
    }
}

/// Encodes a whole answer.
pub(crate) fn encode(answer: &Answer, facts: &AnswerFacts) -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        head(json, facts, answer.model.as_deref());
        json.key("content").array(|json| answer.parts.iter().for_each(|part| write_part(json, part)));
        json.key("stop_reason").text(stop_word(answer.stop)).key("stop_sequence");
        match &answer.stop_sequence {
            Some(sequence) => json.text(sequence.expose()),
            None => json.null(),
        };
        write_anthropic(json.key("usage"), &answer.usage.unwrap_or_default());
    });
    json.into_bytes()
}

/// The members that answers and `message_start` begin with.
pub(super) fn head(json: &mut Writer, facts: &AnswerFacts, model: Option<&str>) {
    json.key("id").text(&facts.call_id).key("type").text("message").key("role").text("assistant");
    json.key("model").text(model.unwrap_or(&facts.model));
}

/// The message of `message_start`.
pub(super) fn write_start(json: &mut Writer, facts: &AnswerFacts, model: Option<&str>, usage: &Usage) {
    json.object(|json| {
        head(json, facts, model);
        json.key("content").array(|_| {});
        json.key("stop_reason").null().key("stop_sequence").null();
        write_anthropic(json.key("usage"), usage);
    });
}

fn write_part(json: &mut Writer, part: &Part) {
    json.object(|json| match part {
        Part::Text { text, .. } => {
            json.key("type").text("text").key("text").text(text.expose()).key("citations").null();
        }
        Part::Thinking { text, signature } => {
            json.key("type").text("thinking").key("thinking").text(text.expose());
            json.key("signature").text(signature.as_ref().map_or("", Content::expose));
        }
        Part::RedactedThinking { data } => {
            json.key("type").text("redacted_thinking").key("data").text(data.expose());
        }
        Part::ToolUse { id, name, input, .. } => {
            json.key("type")
                .text("tool_use")
                .key("id")
                .text(id)
                .key("name")
                .text(name)
                .key("input")
                .raw(input);
        }
        // No answer has these; decoders do not make them.
        Part::Image { .. } | Part::File { .. } | Part::FileUrl { .. } | Part::ToolResult { .. } => {}
    });
}
