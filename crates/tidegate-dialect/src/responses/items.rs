//! Input items into turns.

use super::call::{DIALECT, optional_text};
use super::sealed;
use crate::canonical::{Image, Json, Part, Role, Turn};
use crate::decode::{need, need_text, refuse, rest_of};
use crate::json::{Kind, Value};
use crate::openai::messages::{data_url, image, object};
use crate::read::{Fields, Path, array, text, wrong};
use crate::{Content, RequestError};

/// Decodes the items; those of one speaker that follow each other are one turn.
pub(super) fn decode(input: &Value<'_>, path: Path<'_>, turns: &mut Vec<Turn>) -> Result<(), RequestError> {
    let mut at = 0;
    array(input, path, |value, path| {
        let mut item = Fields::read(&value, path)?;
        let (role, parts) = decode_item(&mut item, path)?;
        rest_of(DIALECT, "input[]", path, &item)?;
        match turns.last_mut() {
            Some(last) if last.role == role && joins(last) => last.parts.extend(parts),
            _ if parts.is_empty() && role == Role::Assistant => {}
            _ => turns.push(Turn { role, parts, at }),
        }
        at += 1;
        Ok(())
    })
}

/// Thoughts, texts and calls are items of their own but one turn; so are results of parallel calls,
/// and what the user says next.
fn joins(last: &Turn) -> bool {
    match last.role {
        Role::Assistant => true,
        Role::User => matches!(last.parts.last(), Some(Part::ToolResult { .. })),
        Role::System => false,
    }
}

fn decode_item(item: &mut Fields<'_>, path: Path<'_>) -> Result<(Role, Vec<Part>), RequestError> {
    let kind = match item.take("type") {
        Some(kind) => text(&kind, path.key("type"))?.into_owned(),
        None if item.get("role").is_some() => "message".to_owned(),
        None => "item_reference".to_owned(),
    };
    Ok(match kind.as_str() {
        "message" => {
            let role = match need_text(item, "role", path)?.as_str() {
                "system" | "developer" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                _ => return Err(refuse(path.key("role"), "no such role in other dialects")),
            };
            (role, content(&need(item, "content", path)?, path.key("content"))?)
        }
        "function_call" => (Role::Assistant, vec![call(item, path)?]),
        "function_call_output" => {
            let id = need_text(item, "call_id", path)?;
            let parts = content(&need(item, "output", path)?, path.key("output"))?;
            (Role::User, vec![Part::ToolResult { id, parts, is_error: false, cache: None }])
        }
        "reasoning" => (Role::Assistant, reasoning(item, path)?.into_iter().collect()),
        "item_reference" => return Err(refuse(path, "an item that the provider keeps; send it along")),
        _ => return Err(refuse(path.key("type"), "no counterpart in other dialects")),
    })
}

fn call(item: &mut Fields<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let arguments = need_text(item, "arguments", path)?;
    let input =
        object(&arguments).ok_or_else(|| refuse(path.key("arguments"), "not the text of a JSON object"))?;
    let (id, name) = (need_text(item, "call_id", path)?, need_text(item, "name", path)?);
    Ok(Part::ToolUse { id, name, input, cache: None })
}

fn reasoning(item: &mut Fields<'_>, path: Path<'_>) -> Result<Option<Part>, RequestError> {
    let id = optional_text(item, "id", path)?.unwrap_or_default();
    let sealed = optional_text(item, "encrypted_content", path)?;
    let mut said = Vec::new();
    for key in ["summary", "content"] {
        let Some(value) = item.take(key) else { continue };
        array(&value, path.key(key), |part, path| {
            let mut part = Fields::read(&part, path)?;
            need_text(&mut part, "type", path)?;
            said.push(need_text(&mut part, "text", path)?);
            Ok(())
        })?;
    }
    Ok(sealed::open(id.expose(), said.join("\n\n"), sealed.as_ref().map(Content::expose)))
}

/// Content is a string or an array of parts.
fn content(value: &Value<'_>, path: Path<'_>) -> Result<Vec<Part>, RequestError> {
    if value.kind() == Kind::Text {
        return Ok(vec![Part::Text { text: Content::new(text(value, path)?), cache: None }]);
    }
    let mut parts = Vec::new();
    array(value, path, |value, path| {
        let mut part = Fields::read(&value, path)?;
        parts.push(decode_part(&mut part, path)?);
        rest_of(DIALECT, "input[].content[]", path, &part)
    })?;
    Ok(parts)
}

fn decode_part(part: &mut Fields<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let kind = need_text(part, "type", path)?;
    // Where a prefix ends that is to be cached; how long is the provider's choice.
    let point = part.take("prompt_cache_breakpoint").map(|_| Json::of_valid(*br#"{"type":"ephemeral"}"#));
    let cache = part.take("cache_control").map(|cache| Json::from(&cache)).or(point);
    Ok(match kind.as_str() {
        "input_text" | "output_text" | "text" => {
            Part::Text { text: need_text(part, "text", path)?.into(), cache }
        }
        "refusal" => Part::Text { text: need_text(part, "refusal", path)?.into(), cache },
        "input_image" => Part::Image { image: decode_image(part, path)?, cache },
        "input_file" => file(part, path, cache)?,
        _ => return Err(refuse(path.key("type"), "only text, images and files can be carried over")),
    })
}

fn decode_image(part: &mut Fields<'_>, path: Path<'_>) -> Result<Image, RequestError> {
    let Some(url) = optional_text(part, "image_url", path)? else {
        return Err(refuse(path.key("file_id"), "an image must be sent along, or have an address"));
    };
    part.take("file_id");
    image(url.expose(), path.key("image_url"))
}

fn file(part: &mut Fields<'_>, path: Path<'_>, cache: Option<Json>) -> Result<Part, RequestError> {
    let name = optional_text(part, "filename", path)?;
    if let Some(url) = optional_text(part, "file_url", path)? {
        return Ok(Part::FileUrl { media_type: None, url, name, cache });
    }
    let Some(data) = optional_text(part, "file_data", path)? else {
        return Err(refuse(
            path.key("file_id"),
            "a file must be sent along as file_data, or have an address",
        ));
    };
    let (media_type, data) =
        data_url(data.expose()).ok_or_else(|| wrong(path.key("file_data"), "data:<type>;base64,<data>"))?;
    Ok(Part::File { media_type: media_type.to_owned(), data: data.into(), name, cache })
}
