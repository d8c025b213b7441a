//! Whole answers for clients of the AI SDK.

use super::{metadata, usage};
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Answer, Part, Stop};
use crate::json::Writer;

/// Encodes a whole answer.
pub(super) fn encode(answer: &Answer, facts: &AnswerFacts) -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("content").array(|json| answer.parts.iter().for_each(|part| write_part(json, part)));
        write_stop(json.key("finishReason"), facts.spec, stop_word(answer.stop));
        usage::write(json.key("usage"), facts.spec, answer.usage.as_ref());
        metadata::write_warnings(json.key("warnings"), facts);
        metadata::write_gateway(json.key("providerMetadata"), facts, answer.usage.as_ref());
        json.key("response").object(|json| metadata::write_response(json, facts, answer.model.as_deref()));
    });
    json.into_bytes()
}

/// The unified word for why the model stopped.
pub(super) fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::Sequence => "stop",
        Stop::Limit | Stop::Window => "length",
        Stop::ToolUse => "tool-calls",
        Stop::Refusal => "content-filter",
    }
}

/// A word in version 2, an object since version 3. The provider's own word is not kept, so `raw` is absent.
pub(super) fn write_stop(json: &mut Writer, spec: u8, word: &str) {
    if spec <= 2 {
        json.text(word);
    } else {
        json.object(|json| json.key("unified").text(word).done());
    }
}

fn write_part(json: &mut Writer, part: &Part) {
    match part {
        Part::Text { text, .. } if text.is_empty() => {}
        Part::Text { text, .. } => {
            json.object(|json| json.key("type").text("text").key("text").text(text.expose()).done());
        }
        Part::Thinking { text, signature } => {
            json.object(|json| {
                json.key("type").text("reasoning").key("text").text(text.expose());
                if let Some(signature) = signature.as_ref().map(Content::expose) {
                    metadata::write_signature(json.key("providerMetadata"), signature);
                }
            });
        }
        Part::RedactedThinking { data } => {
            json.object(|json| {
                json.key("type").text("reasoning").key("text").text("");
                metadata::write_redacted(json.key("providerMetadata"), data.expose());
            });
        }
        Part::ToolUse { id, name, input, .. } => {
            json.object(|json| write_call(json, id, name, &input.text()));
        }
        // No answer has these; decoders do not make them.
        Part::Image { .. } | Part::File { .. } | Part::FileUrl { .. } | Part::ToolResult { .. } => {}
    }
}

/// A whole tool call; its input is JSON as a text.
pub(super) fn write_call(json: &mut Writer, id: &str, name: &str, input: &str) {
    json.key("type").text("tool-call").key("toolCallId").text(id);
    json.key("toolName").text(name).key("input").text(input);
}
