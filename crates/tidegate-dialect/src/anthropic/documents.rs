//! Files as Anthropic's documents: PDFs as base64, texts as text; others are refused by their type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Content;
use crate::canonical::Part;
use crate::json::Writer;

/// Whether no document can be made of a part, or of what a tool's result holds.
pub(super) fn is_refused(part: &Part) -> bool {
    match part {
        Part::File { media_type, data, .. } => !is_pdf(media_type) && as_text(media_type, data).is_none(),
        Part::ToolResult { parts, .. } => parts.iter().any(is_refused),
        _ => false,
    }
}

/// Writes the source of a document.
pub(super) fn write_source(json: &mut Writer, media_type: &str, data: &Content) {
    json.object(|json| match as_text(media_type, data) {
        Some(text) => {
            json.key("type").text("text").key("media_type").text("text/plain").key("data").text(&text);
        }
        None => {
            json.key("type").text("base64").key("media_type").text(media_type);
            json.key("data").text(data.expose());
        }
    });
}

fn is_pdf(media_type: &str) -> bool {
    media_type == "application/pdf"
}

/// The text of a file that is one.
fn as_text(media_type: &str, data: &Content) -> Option<String> {
    let plain = media_type.split(';').next().unwrap_or_default().trim();
    if !plain.starts_with("text/") && plain != "application/json" {
        return None;
    }
    String::from_utf8(STANDARD.decode(data.expose()).ok()?).ok()
}
