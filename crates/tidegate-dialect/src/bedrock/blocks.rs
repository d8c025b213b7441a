//! Content blocks of Converse's requests into parts.

use crate::canonical::{Image, Json, Part};
use crate::decode::{need, need_text, refuse, rest_of};
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, array, text, wrong};
use crate::{Content, Dialect, RequestError};

const DIALECT: Dialect = Dialect::BedrockConverse;
/// Path of a block in the registry.
pub(super) const BLOCK: &str = "messages[].content[]";

/// A list of blocks; `pattern` is the path of one in the registry.
pub(super) fn decode(content: &Value<'_>, path: Path<'_>, pattern: &str) -> Result<Vec<Part>, RequestError> {
    let mut parts = Vec::new();
    array(content, path, |value, path| {
        let mut block = Fields::read(&value, path)?;
        decode_block(&mut block, path, &mut parts)?;
        rest_of(DIALECT, pattern, path, &block)
    })?;
    Ok(parts)
}

fn decode_block(block: &mut Fields<'_>, path: Path<'_>, parts: &mut Vec<Part>) -> Result<(), RequestError> {
    if let Some(value) = block.take("text") {
        let text = Content::new(text(&value, path.key("text"))?);
        parts.push(Part::Text { text, cache: None });
    } else if let Some(value) = block.take("json") {
        parts.push(Part::Text { text: Content::new(Json::from(&value).text()), cache: None });
    } else if let Some(value) = block.take("image") {
        parts.push(Part::Image { image: image(&value, path.key("image"))?, cache: None });
    } else if let Some(value) = block.take("document") {
        parts.push(document(&value, path.key("document"))?);
    } else if let Some(value) = block.take("toolUse") {
        parts.push(tool_use(&value, path.key("toolUse"))?);
    } else if let Some(value) = block.take("toolResult") {
        parts.push(tool_result(&value, path.key("toolResult"))?);
    } else if let Some(value) = block.take("reasoningContent") {
        parts.push(reasoning(&value, path.key("reasoningContent"))?);
    } else if let Some(value) = block.take("citationsContent") {
        cited(&value, path.key("citationsContent"), parts)?;
    } else if let Some(value) = block.take("cachePoint") {
        let marker = cache_point(&value, path.key("cachePoint"))?;
        if let Some(part) = parts.last_mut() {
            mark(part, marker);
        }
    }
    Ok(())
}

/// A cache point means all that stands before it: the part before it carries the marker.
fn mark(part: &mut Part, marker: Json) {
    if let Part::Text { cache, .. }
    | Part::Image { cache, .. }
    | Part::File { cache, .. }
    | Part::FileUrl { cache, .. }
    | Part::ToolUse { cache, .. }
    | Part::ToolResult { cache, .. } = part
    {
        *cache = Some(marker);
    }
}

/// A cache point as a marker of Anthropic's.
pub(super) fn cache_point(value: &Value<'_>, path: Path<'_>) -> Result<Json, RequestError> {
    let mut point = Fields::read(value, path)?;
    need_text(&mut point, "type", path)?;
    let ttl = point.take("ttl").map(|ttl| text(&ttl, path.key("ttl"))).transpose()?;
    rest_of(DIALECT, "messages[].content[].cachePoint", path, &point)?;
    match ttl.as_deref() {
        None => Ok(Json::of_valid(*br#"{"type":"ephemeral"}"#)),
        Some("5m") => Ok(Json::of_valid(*br#"{"type":"ephemeral","ttl":"5m"}"#)),
        Some("1h") => Ok(Json::of_valid(*br#"{"type":"ephemeral","ttl":"1h"}"#)),
        Some(_) => Err(wrong(path.key("ttl"), "5m or 1h")),
    }
}

/// Base64 text of a source; what lies elsewhere cannot be read by others.
fn bytes(holder: &mut Fields<'_>, path: Path<'_>) -> Result<Content, RequestError> {
    let source = need(holder, "source", path)?;
    let path = path.key("source");
    let mut source = Fields::read(&source, path)?;
    let Some(data) = source.take("bytes") else {
        let key = source.iter().next().map_or("bytes", |member| &*member.key).to_owned();
        return Err(refuse(path.key(&key), "only bytes that are sent along can be carried over"));
    };
    let data = Content::new(text(&data, path.key("bytes"))?);
    rest_of(DIALECT, "messages[].content[].source", path, &source)?;
    Ok(data)
}

fn image(value: &Value<'_>, path: Path<'_>) -> Result<Image, RequestError> {
    let mut image = Fields::read(value, path)?;
    let media_type = match need_text(&mut image, "format", path)?.as_str() {
        format @ ("png" | "jpeg" | "gif" | "webp") => format!("image/{format}"),
        _ => return Err(wrong(path.key("format"), "png, jpeg, gif or webp")),
    };
    let data = bytes(&mut image, path)?;
    rest_of(DIALECT, "messages[].content[].image", path, &image)?;
    Ok(Image::Base64 { media_type, data })
}

/// Formats of documents and their media types.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

fn document(value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let mut document = Fields::read(value, path)?;
    let format = need_text(&mut document, "format", path)?;
    let Some((_, media_type)) = DOCUMENTS.iter().find(|(name, _)| *name == format) else {
        return Err(wrong(path.key("format"), "one of the formats that Converse knows"));
    };
    let name = need_text(&mut document, "name", path)?;
    let data = bytes(&mut document, path)?;
    if let Some(citations) = document.take("citations")
        && citations.get("enabled").and_then(|enabled| enabled.bool()) != Some(false)
    {
        return Err(refuse(path.key("citations"), "no counterpart in other dialects"));
    }
    rest_of(DIALECT, "messages[].content[].document", path, &document)?;
    Ok(Part::File { media_type: (*media_type).to_owned(), data, name: Some(name.into()), cache: None })
}

fn tool_use(value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let mut tool = Fields::read(value, path)?;
    let id = need_text(&mut tool, "toolUseId", path)?;
    let name = need_text(&mut tool, "name", path)?;
    let input = need(&mut tool, "input", path)?;
    if input.kind() != Kind::Object {
        return Err(wrong(path.key("input"), "an object"));
    }
    rest_of(DIALECT, "messages[].content[].toolUse", path, &tool)?;
    Ok(Part::ToolUse { id, name, input: Json::from(&input), cache: None })
}

fn tool_result(value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let mut result = Fields::read(value, path)?;
    let id = need_text(&mut result, "toolUseId", path)?;
    let content = need(&mut result, "content", path)?;
    let is_error = match result.take("status") {
        None => false,
        Some(status) => match &*text(&status, path.key("status"))? {
            "success" => false,
            "error" => true,
            _ => return Err(wrong(path.key("status"), "success or error")),
        },
    };
    let parts = decode(&content, path.key("content"), BLOCK)?;
    rest_of(DIALECT, "messages[].content[].toolResult", path, &result)?;
    Ok(Part::ToolResult { id, parts, is_error, cache: None })
}

fn reasoning(value: &Value<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let mut reasoning = Fields::read(value, path)?;
    if let Some(data) = reasoning.take("redactedContent") {
        let data = Content::new(text(&data, path.key("redactedContent"))?);
        rest_of(DIALECT, "messages[].content[].reasoningContent", path, &reasoning)?;
        return Ok(Part::RedactedThinking { data });
    }
    let inner = need(&mut reasoning, "reasoningText", path)?;
    rest_of(DIALECT, "messages[].content[].reasoningContent", path, &reasoning)?;
    let path = path.key("reasoningText");
    let mut inner = Fields::read(&inner, path)?;
    let signature = inner.take("signature").map(|value| text(&value, path.key("signature"))).transpose()?;
    let part = Part::Thinking {
        text: need_text(&mut inner, "text", path)?.into(),
        signature: signature.filter(|text| !text.is_empty()).map(Content::new),
    };
    rest_of(DIALECT, "messages[].content[].reasoningContent.reasoningText", path, &inner)?;
    Ok(part)
}

/// An earlier answer with citations: its text goes on.
fn cited(value: &Value<'_>, path: Path<'_>, parts: &mut Vec<Part>) -> Result<(), RequestError> {
    let mut cited = Fields::read(value, path)?;
    cited.take("citations");
    if let Some(content) = cited.take("content") {
        parts.extend(decode(&content, path.key("content"), BLOCK)?);
    }
    rest_of(DIALECT, "messages[].content[].citationsContent", path, &cited)
}
