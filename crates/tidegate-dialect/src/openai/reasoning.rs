//! `reasoning_details`: how signed reasoning of another dialect travels through OpenAI's, and back.
//!
//! The convention of OpenRouter and Vercel: clients echo it with the assistant message.

use crate::Content;
use crate::canonical::Part;
use crate::json::{Value, Writer};

/// Whose signatures these are.
const FORMAT: &str = "anthropic-claude-v1";

/// Signed reasoning of an echoed message. Unsigned reasoning is left out: its provider would refuse it.
/// Clients that gathered a stream may send text and signature as separate details.
pub(super) fn decode(details: &Value<'_>, parts: &mut Vec<Part>) {
    let mut unsigned = String::new();
    for detail in details.elements() {
        let text = |key: &str| detail.get(key).and_then(|value| value.text());
        if text("format").is_none_or(|format| format != FORMAT) {
            continue;
        }
        unsigned.push_str(&text("text").unwrap_or_default());
        if let Some(signature) = text("signature") {
            let text = std::mem::take(&mut unsigned).into();
            parts.push(Part::Thinking { text, signature: Some(Content::new(signature)) });
        } else if let Some(data) = text("data") {
            parts.push(Part::RedactedThinking { data: Content::new(data) });
        }
    }
}

/// What a detail says.
pub(super) enum Detail<'a> {
    Thinking { text: Option<&'a str>, signature: Option<&'a str> },
    Encrypted { data: &'a str },
}

/// Writes one detail.
pub(super) fn write(json: &mut Writer, index: u64, detail: &Detail<'_>) {
    json.object(|json| {
        match detail {
            Detail::Thinking { text, signature } => {
                json.key("type").text("reasoning.text");
                if let Some(text) = text {
                    json.key("text").text(text);
                }
                if let Some(signature) = signature {
                    json.key("signature").text(signature);
                }
            }
            Detail::Encrypted { data } => {
                json.key("type").text("reasoning.encrypted").key("data").text(data);
            }
        }
        json.key("format").text(FORMAT).key("index").whole(index);
    });
}
