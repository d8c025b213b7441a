//! `reasoning_details`: how signed reasoning of another dialect travels through OpenAI's, and back.
//!
//! The convention of OpenRouter and Vercel: clients echo it with the assistant message.

use crate::canonical::Part;
use crate::canonical::signature::{ANTHROPIC, GEMINI, OPENAI, maker, mark};
use crate::json::{Value, Writer};

/// Signed reasoning of an echoed message. Unsigned reasoning is left out: its provider would refuse it.
/// Clients that gathered a stream may send text and signature as separate details.
pub(super) fn decode(details: &Value<'_>, parts: &mut Vec<Part>) {
    let mut unsigned = String::new();
    let mut at = None;
    for detail in details.elements() {
        let text = |key: &str| detail.get(key).and_then(|value| value.text());
        let Some(format) =
            [ANTHROPIC, GEMINI, OPENAI].into_iter().find(|maker| text("format").is_some_and(|f| f == *maker))
        else {
            continue;
        };
        // A signature belongs to the text of its own block.
        let index = detail.get("index").and_then(|index| index.whole());
        if std::mem::replace(&mut at, index) != index {
            unsigned.clear();
        }
        unsigned.push_str(&text("text").unwrap_or_default());
        let signature = match (text("signature"), text("data")) {
            (Some(signature), _) => signature,
            // What other gateways call encrypted is a signature without text.
            (None, Some(data)) if format == GEMINI => data,
            (None, Some(data)) => {
                parts.push(Part::RedactedThinking { data: data.into_owned().into() });
                continue;
            }
            (None, None) => continue,
        };
        let text = std::mem::take(&mut unsigned).into();
        parts.push(Part::Thinking { text, signature: Some(mark(format, &signature)) });
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
        let mut format = ANTHROPIC;
        match detail {
            Detail::Thinking { text, signature } => {
                json.key("type").text("reasoning.text");
                if let Some(text) = text {
                    json.key("text").text(text);
                }
                if let Some(signature) = signature {
                    let (maker, raw) = maker(signature);
                    json.key("signature").text(raw);
                    format = maker;
                }
            }
            Detail::Encrypted { data } => {
                json.key("type").text("reasoning.encrypted").key("data").text(data);
            }
        }
        json.key("format").text(format).key("index").whole(index);
    });
}
