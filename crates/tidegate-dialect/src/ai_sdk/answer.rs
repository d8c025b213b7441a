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
        json.key("content").array(|json| write_parts(json, &answer.parts));
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

/// A signature without words goes with the part that follows it, where its maker has it so.
fn write_parts(json: &mut Writer, parts: &[Part]) {
    let mut pending: Option<&str> = None;
    for (at, part) in parts.iter().enumerate() {
        let next = parts.get(at + 1);
        match part {
            Part::Thinking { text, signature: Some(signature) }
                if text.is_empty()
                    && metadata::goes_with_next(signature.expose())
                    && matches!(next, Some(Part::Text { .. } | Part::ToolUse { .. })) =>
            {
                pending = Some(signature.expose());
            }
            part => write_part(json, part, pending.take()),
        }
    }
}

fn write_part(json: &mut Writer, part: &Part, signature: Option<&str>) {
    match part {
        Part::Text { text, .. } if text.is_empty() && signature.is_none() => {}
        Part::Text { text, .. } => {
            json.object(|json| {
                json.key("type").text("text").key("text").text(text.expose());
                write_signature(json, signature);
            });
        }
        Part::Thinking { text, signature } => {
            json.object(|json| {
                json.key("type").text("reasoning").key("text").text(text.expose());
                write_signature(json, signature.as_ref().map(Content::expose));
            });
        }
        Part::RedactedThinking { data } => {
            json.object(|json| {
                json.key("type").text("reasoning").key("text").text("");
                metadata::write_redacted(json.key("providerMetadata"), data.expose());
            });
        }
        Part::ToolUse { id, name, input, .. } => {
            json.object(|json| write_call(json, id, name, &input.text(), signature));
        }
        // No answer has these; decoders do not make them.
        Part::Image { .. } | Part::File { .. } | Part::FileUrl { .. } | Part::ToolResult { .. } => {}
    }
}

fn write_signature(json: &mut Writer, signature: Option<&str>) {
    if let Some(signature) = signature {
        metadata::write_signature(json.key("providerMetadata"), signature);
    }
}

/// A whole tool call; its input is JSON as a text.
pub(super) fn write_call(json: &mut Writer, id: &str, name: &str, input: &str, signature: Option<&str>) {
    json.key("type").text("tool-call").key("toolCallId").text(id);
    json.key("toolName").text(name).key("input").text(input);
    write_signature(json, signature);
}
