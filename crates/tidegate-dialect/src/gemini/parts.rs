//! Parts as Gemini writes them, in requests and in answers.

use crate::json::Writer;

/// A text, or a thought.
pub(super) fn text(json: &mut Writer, text: &str, thought: bool, signature: Option<&str>) {
    json.object(|json| {
        json.key("text").text(text);
        if thought {
            json.key("thought").bool(true);
        }
        sign(json, signature);
    });
}

/// A call of a function; `input` is a JSON object.
pub(super) fn call(json: &mut Writer, id: &str, name: &str, input: &[u8], signature: Option<&str>) {
    json.object(|json| {
        json.key("functionCall").object(|json| {
            json.key("id").text(id).key("name").text(name).key("args").raw(input);
        });
        sign(json, signature);
    });
}

fn sign(json: &mut Writer, signature: Option<&str>) {
    if let Some(signature) = signature {
        json.key("thoughtSignature").text(signature);
    }
}
