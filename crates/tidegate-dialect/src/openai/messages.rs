//! Messages of OpenAI chat completions into turns.

use super::reasoning;
use crate::canonical::{Image, Json, Part, Role, Turn};
use crate::decode::{need, need_text, refuse, rest_of};
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, array, text, wrong};
use crate::{Content, Dialect, RequestError};

const DIALECT: Dialect = Dialect::OpenaiChat;

pub(super) fn decode(messages: &Value<'_>, path: Path<'_>) -> Result<Vec<Turn>, RequestError> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut at = 0;
    array(messages, path, |value, path| {
        let mut message = Fields::read(&value, path)?;
        let role = need_text(&mut message, "role", path)?;
        let (role, parts) = match role.as_str() {
            "system" | "developer" => (Role::System, content(&mut message, path)?),
            "user" => (Role::User, content(&mut message, path)?),
            "assistant" => (Role::Assistant, assistant(&mut message, path)?),
            "tool" => (Role::User, vec![tool_result(&mut message, path)?]),
            _ => return Err(refuse(path.key("role"), "no such role in other dialects")),
        };
        rest_of(DIALECT, "messages[]", path, &message)?;
        // Results of parallel calls, and what the user says next, are one turn.
        match turns.last_mut() {
            Some(last) if role == Role::User && last.role == role && answers_tools(last) => {
                last.parts.extend(parts)
            }
            _ => turns.push(Turn { role, parts, at }),
        }
        at += 1;
        Ok(())
    })?;
    Ok(turns)
}

fn answers_tools(turn: &Turn) -> bool {
    matches!(turn.parts.last(), Some(Part::ToolResult { .. }))
}

fn content(message: &mut Fields<'_>, path: Path<'_>) -> Result<Vec<Part>, RequestError> {
    let cache = message.take("cache_control").map(|cache| Json::from(&cache));
    let Some(value) = message.take("content") else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    if value.kind() == Kind::Text {
        parts.push(Part::Text { text: Content::new(text(&value, path.key("content"))?), cache });
        return Ok(parts);
    }
    array(&value, path.key("content"), |value, path| {
        parts.push(part(&value, path)?);
        Ok(())
    })?;
    // A marker on the message means its last part.
    if let (
        Some(marker),
        Some(Part::Text { cache, .. } | Part::Image { cache, .. } | Part::File { cache, .. }),
    ) = (cache, parts.last_mut())
    {
        cache.get_or_insert(marker);
    }
    Ok(parts)
}

fn part(value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let mut part = Fields::read(value, path)?;
    let kind = need_text(&mut part, "type", path)?;
    let cache = part.take("cache_control").map(|cache| Json::from(&cache));
    let found = match kind.as_str() {
        "text" => Part::Text { text: need_text(&mut part, "text", path)?.into(), cache },
        "refusal" => Part::Text { text: need_text(&mut part, "refusal", path)?.into(), cache },
        "image_url" => {
            let inner = need(&mut part, "image_url", path)?;
            let path = path.key("image_url");
            let mut inner = Fields::read(&inner, path)?;
            let url = need_text(&mut inner, "url", path)?;
            rest_of(DIALECT, "messages[].content[].image_url", path, &inner)?;
            Part::Image { image: image(&url, path.key("url"))?, cache }
        }
        "file" => file(&mut part, path, cache)?,
        _ => return Err(refuse(path.key("type"), "only text, images and files can be carried over")),
    };
    rest_of(DIALECT, "messages[].content[]", path, &part)?;
    Ok(found)
}

pub(crate) fn image(url: &str, path: Path<'_>) -> Result<Image, RequestError> {
    if !url.starts_with("data:") {
        return Ok(Image::Url(url.into()));
    }
    let (media_type, data) =
        data_url(url).ok_or_else(|| wrong(path, "an address, or data:<type>;base64,<data>"))?;
    Ok(Image::Base64 { media_type: media_type.to_owned(), data: data.into() })
}

/// Media type and base64 text of a `data:` address.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

fn file(part: &mut Fields<'_>, path: Path<'_>, cache: Option<Json>) -> Result<Part, RequestError> {
    let inner = need(part, "file", path)?;
    let path = path.key("file");
    let mut inner = Fields::read(&inner, path)?;
    let name =
        inner.take("filename").map(|name| text(&name, path.key("filename")).map(Content::new)).transpose()?;
    let Some(data) = inner.take("file_data") else {
        return Err(refuse(path, "a file must be sent along as file_data"));
    };
    let data = text(&data, path.key("file_data"))?;
    let (media_type, data) =
        data_url(&data).ok_or_else(|| wrong(path.key("file_data"), "data:<type>;base64,<data>"))?;
    rest_of(DIALECT, "messages[].content[].file", path, &inner)?;
    Ok(Part::File { media_type: media_type.to_owned(), data: data.into(), name, cache })
}

fn assistant(message: &mut Fields<'_>, path: Path<'_>) -> Result<Vec<Part>, RequestError> {
    let mut parts = Vec::new();
    if let Some(details) = message.take("reasoning_details") {
        reasoning::decode(&details, &mut parts);
    }
    parts.extend(content(message, path)?);
    if let Some(refusal) = message.take("refusal") {
        parts.push(Part::Text { text: Content::new(text(&refusal, path.key("refusal"))?), cache: None });
    }
    if let Some(calls) = message.take("tool_calls") {
        array(&calls, path.key("tool_calls"), |call, path| {
            parts.push(tool_call(&call, path)?);
            Ok(())
        })?;
    }
    Ok(parts)
}

fn tool_call(value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let mut call = Fields::read(value, path)?;
    if let Some(kind) = call.take("type")
        && text(&kind, path.key("type"))? != "function"
    {
        return Err(refuse(path.key("type"), "only calls of functions can be carried over"));
    }
    let id = need_text(&mut call, "id", path)?;
    let function = need(&mut call, "function", path)?;
    rest_of(DIALECT, "messages[].tool_calls[]", path, &call)?;
    let path = path.key("function");
    let mut function = Fields::read(&function, path)?;
    let name = need_text(&mut function, "name", path)?;
    let arguments = need_text(&mut function, "arguments", path)?;
    rest_of(DIALECT, "messages[].tool_calls[].function", path, &function)?;
    let input =
        object(&arguments).ok_or_else(|| refuse(path.key("arguments"), "not the text of a JSON object"))?;
    Ok(Part::ToolUse { id, name, input, cache: None })
}

/// The JSON object that a text is; an empty text is an empty object.
pub(crate) fn object(text: &str) -> Option<Json> {
    if text.trim().is_empty() {
        return Some(Json::of_valid(*b"{}"));
    }
    let value = Value::parse(text.as_bytes()).ok()?;
    (value.kind() == Kind::Object).then(|| Json::from(&value))
}

fn tool_result(message: &mut Fields<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let id = need_text(message, "tool_call_id", path)?;
    Ok(Part::ToolResult { id, parts: content(message, path)?, is_error: false, cache: None })
}
