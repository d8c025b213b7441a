//! Content blocks of Anthropic's requests into parts.

use crate::canonical::{Image, Json, Part};
use crate::decode::{need, need_text, refuse, rest_of};
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, array, boolean, text};
use crate::{Content, Dialect, RequestError};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Content is a string or an array of blocks; `pattern` is the path of a block in the registry.
pub(super) fn decode(content: &Value<'_>, path: Path<'_>, pattern: &str) -> Result<Vec<Part>, RequestError> {
    if content.kind() == Kind::Text {
        return Ok(vec![Part::Text { text: Content::new(text(content, path)?), cache: None }]);
    }
    let mut parts = Vec::new();
    array(content, path, |value, path| {
        let mut block = Fields::read(&value, path)?;
        parts.push(decode_block(&mut block, path)?);
        rest_of(DIALECT, pattern, path, &block)
    })?;
    Ok(parts)
}

fn decode_block(block: &mut Fields<'_>, path: Path<'_>) -> Result<Part, RequestError> {
    let kind = need_text(block, "type", path)?;
    let cache = block.take("cache_control").map(|cache| Json::from(&cache));
    Ok(match kind.as_str() {
        "text" => Part::Text { text: need_text(block, "text", path)?.into(), cache },
        "image" => Part::Image { image: image(block, path)?, cache },
        "document" => document(block, path, cache)?,
        "tool_use" => {
            let input = need(block, "input", path)?;
            if input.kind() != Kind::Object {
                return Err(crate::read::wrong(path.key("input"), "an object"));
            }
            let (id, name) = (need_text(block, "id", path)?, need_text(block, "name", path)?);
            Part::ToolUse { id, name, input: Json::from(&input), cache }
        }
        "tool_result" => tool_result(block, path, cache)?,
        "thinking" => {
            let signature = block.take("signature");
            let signature = signature.map(|value| text(&value, path.key("signature"))).transpose()?;
            Part::Thinking {
                text: need_text(block, "thinking", path)?.into(),
                signature: signature.filter(|text| !text.is_empty()).map(Content::new),
            }
        }
        "redacted_thinking" => Part::RedactedThinking { data: need_text(block, "data", path)?.into() },
        _ => return Err(refuse(path.key("type"), "no counterpart in other dialects")),
    })
}

fn image(block: &mut Fields<'_>, path: Path<'_>) -> Result<Image, RequestError> {
    let source = need(block, "source", path)?;
    let path = path.key("source");
    let mut source = Fields::read(&source, path)?;
    let image = match need_text(&mut source, "type", path)?.as_str() {
        "base64" => Image::Base64 {
            media_type: need_text(&mut source, "media_type", path)?,
            data: need_text(&mut source, "data", path)?.into(),
        },
        "url" => Image::Url(need_text(&mut source, "url", path)?.into()),
        _ => return Err(refuse(path.key("type"), "only base64 and url can be carried over")),
    };
    rest_of(DIALECT, "messages[].content[].source", path, &source)?;
    Ok(image)
}

fn document(block: &mut Fields<'_>, path: Path<'_>, cache: Option<Json>) -> Result<Part, RequestError> {
    let source = need(block, "source", path)?;
    let name =
        block.take("title").map(|title| text(&title, path.key("title")).map(Content::new)).transpose()?;
    for key in ["citations", "context"] {
        if let Some(value) = block.take(key)
            && value.get("enabled").and_then(|enabled| enabled.bool()) != Some(false)
        {
            return Err(refuse(path.key(key), "no counterpart in other dialects"));
        }
    }
    let path = path.key("source");
    let mut source = Fields::read(&source, path)?;
    match need_text(&mut source, "type", path)?.as_str() {
        "base64" => {}
        "url" => {
            let url = need_text(&mut source, "url", path)?.into();
            rest_of(DIALECT, "messages[].content[].source", path, &source)?;
            return Ok(Part::FileUrl { media_type: None, url, name, cache });
        }
        "text" => {
            need_text(&mut source, "media_type", path)?;
            let text = need_text(&mut source, "data", path)?;
            rest_of(DIALECT, "messages[].content[].source", path, &source)?;
            // Its title is the first line: a part of text has no name.
            let text = match name {
                Some(title) => Content::new(format!("{}\n\n{text}", title.expose())),
                None => text.into(),
            };
            return Ok(Part::Text { text, cache });
        }
        _ => {
            return Err(refuse(
                path.key("type"),
                "only documents by base64, URL or as text can be carried over",
            ));
        }
    }
    let media_type = need_text(&mut source, "media_type", path)?;
    let data = need_text(&mut source, "data", path)?.into();
    rest_of(DIALECT, "messages[].content[].source", path, &source)?;
    Ok(Part::File { media_type, data, name, cache })
}

fn tool_result(block: &mut Fields<'_>, path: Path<'_>, cache: Option<Json>) -> Result<Part, RequestError> {
    let id = need_text(block, "tool_use_id", path)?;
    let is_error = block.take("is_error").map_or(Ok(false), |value| boolean(&value, path.key("is_error")))?;
    let parts = match block.take("content") {
        Some(content) => decode(&content, path.key("content"), "messages[].content[]")?,
        None => Vec::new(),
    };
    Ok(Part::ToolResult { id, parts, is_error, cache })
}
