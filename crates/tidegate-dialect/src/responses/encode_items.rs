//! Turns into input items.

use super::sealed;
use crate::Content;
use crate::canonical::{Image, Part, Role, Turn};
use crate::json::Writer;

/// Writes the items of all turns.
pub(super) fn write(json: &mut Writer, turns: &[Turn]) {
    turns.iter().for_each(|turn| write_turn(json, turn));
}

/// Whether a turn has reasoning that OpenAI takes back.
pub(super) fn has_reasoning(turn: &Turn) -> bool {
    let own = |part: &Part| match part {
        Part::Thinking { signature, .. } => sealed::of_openai(signature.as_ref()).is_some(),
        _ => false,
    };
    turn.parts.iter().any(own)
}

/// Texts, images and files that follow each other are one message; all else is an item of its own.
fn write_turn(json: &mut Writer, turn: &Turn) {
    let mut said: Vec<&Part> = Vec::new();
    for part in &turn.parts {
        // Clients send empty texts beside calls.
        if turn.role == Role::Assistant && matches!(part, Part::Text { text, .. } if text.is_empty()) {
            continue;
        }
        if matches!(part, Part::Text { .. } | Part::Image { .. } | Part::File { .. } | Part::FileUrl { .. }) {
            said.push(part);
            continue;
        }
        write_message(json, turn.role, &std::mem::take(&mut said));
        write_item(json, part);
    }
    if turn.parts.is_empty() && turn.role != Role::Assistant {
        write_message(json, turn.role, &[&Part::Text { text: Content::default(), cache: None }]);
    }
    write_message(json, turn.role, &said);
}

fn write_message(json: &mut Writer, role: Role, parts: &[&Part]) {
    if parts.is_empty() {
        return;
    }
    let (role, text) = match role {
        Role::System => ("system", "input_text"),
        Role::User => ("user", "input_text"),
        Role::Assistant => ("assistant", "output_text"),
    };
    json.object(|json| {
        json.key("type").text("message").key("role").text(role).key("content");
        match parts {
            // Output has parts only.
            [Part::Text { text: said, .. }] if role != "assistant" => json.text(said.expose()),
            parts => json.array(|json| parts.iter().for_each(|part| write_part(json, part, text))),
        };
    });
}

fn write_part(json: &mut Writer, part: &Part, text: &str) {
    json.object(|json| match part {
        Part::Text { text: said, .. } => json.key("type").text(text).key("text").text(said.expose()).done(),
        Part::Image { image, .. } => {
            json.key("type").text("input_image").key("detail").text("auto").key("image_url");
            match image {
                Image::Url(url) => json.text(url.expose()),
                Image::Base64 { media_type, data } => json.text(&data_url(media_type, data)),
            };
        }
        Part::File { media_type, data, name, .. } => {
            json.key("type").text("input_file");
            json.key("filename").text(name.as_ref().map_or("file", Content::expose));
            json.key("file_data").text(&data_url(media_type, data));
        }
        Part::FileUrl { url, name, .. } => {
            json.key("type").text("input_file");
            if let Some(name) = name {
                json.key("filename").text(name.expose());
            }
            json.key("file_url").text(url.expose());
        }
        _ => {}
    });
}

fn data_url(media_type: &str, data: &Content) -> String {
    format!("data:{media_type};base64,{}", data.expose())
}

fn write_item(json: &mut Writer, part: &Part) {
    match part {
        Part::ToolUse { id, name, input, .. } => {
            json.object(|json| {
                json.key("type").text("function_call").key("call_id").text(id);
                json.key("name").text(name).key("arguments").text(&input.text());
            });
        }
        Part::ToolResult { id, parts, is_error, .. } => {
            json.object(|json| {
                json.key("type").text("function_call_output").key("call_id").text(id);
                write_result(json.key("output"), parts, *is_error);
            });
        }
        Part::Thinking { text, signature } => {
            // Reasoning of other providers is theirs; the registry says so.
            let Some((id, sealed)) = sealed::of_openai(signature.as_ref()) else { return };
            json.object(|json| {
                json.key("type").text("reasoning").key("id").text(id);
                write_summary(json.key("summary"), text.expose());
                json.key("encrypted_content").text(sealed);
            });
        }
        _ => {}
    }
}

/// A summary of one part, or of none.
pub(super) fn write_summary(json: &mut Writer, text: &str) {
    json.array(|json| {
        if !text.is_empty() {
            json.object(|json| json.key("type").text("summary_text").key("text").text(text).done());
        }
    });
}

/// There is no flag for errors: the text says it.
fn write_result(json: &mut Writer, parts: &[Part], is_error: bool) {
    match (parts, is_error) {
        ([], false) => json.text(""),
        ([], true) => json.text("Error:"),
        ([Part::Text { text, .. }], false) => json.text(text.expose()),
        ([Part::Text { text, .. }], true) => json.text(&format!("Error: {}", text.expose())),
        (parts, _) => json.array(|json| {
            if is_error {
                write_part(json, &Part::Text { text: "Error:".into(), cache: None }, "input_text");
            }
            parts.iter().for_each(|part| write_part(json, part, "input_text"));
        }),
    };
}
