//! Validates content blocks, of messages and of the system prompt.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::request::{Maker, only, single};
use crate::ask::{Ask, Invalid, text};

/// What one message holds.
#[derive(Default)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) used: BTreeSet<String>,
    pub(super) answered: BTreeSet<String>,
    pub(super) documents: bool,
}

fn refuse<T>(message: impl Into<String>, at: &str) -> Result<T, Invalid> {
    Err(Invalid::new(message, at))
}

fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Map<String, Value>, Invalid> {
    value.as_object().ok_or_else(|| Invalid::new(format!("{at} must be an object."), at))
}

/// Reads the system prompt.
pub(super) fn system(value: &Value, maker: Maker, ask: &mut Ask) -> Result<(), Invalid> {
    for (index, block) in value.as_array().into_iter().flatten().enumerate() {
        let at = format!("system.{index}");
        match single(block, &at)? {
            ("text", value) => spoken(value, &at, ask).map(drop)?,
            ("cachePoint", point) => cache_point(point, maker, &at, ask)?,
            (other, _) => return refuse(format!("{at}.{other} is not simulated."), &at),
        }
    }
    Ok(())
}

/// Notes a cache point.
pub(super) fn cache_point(point: &Value, maker: Maker, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    only(object(point, at)?, &["type", "ttl"], at)?;
    let ttl = point.get("ttl").map(|ttl| ttl.as_str().unwrap_or_default());
    if point.get("type").and_then(Value::as_str) != Some("default")
        || !matches!(ttl, None | Some("5m" | "1h"))
    {
        return refuse(format!("{at}: a cachePoint is of type default, for 5m or 1h."), at);
    }
    if !matches!(maker, Maker::Anthropic | Maker::Amazon) {
        let message = "You invoked an unsupported model or your request did not allow prompt caching.";
        return Err(Invalid { status: 403, ..Invalid::new(message, at) });
    }
    ask.cache_markers += 1;
    ask.cached_texts = Some(ask.input.len());
    if ask.cache_markers > 4 {
        return refuse("A maximum of 4 cachePoint blocks may be provided.", at);
    }
    Ok(())
}

/// A text that must say something.
fn spoken<'v>(value: &'v Value, at: &str, ask: &mut Ask) -> Result<&'v str, Invalid> {
    let said = text(Some(value), at)?;
    if said.trim().is_empty() {
        let message = format!(
            "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
        );
        return refuse(message, at);
    }
    ask.input.push(said.to_owned());
    Ok(said)
}

/// Reads one block of a message.
pub(super) fn block(
    block: &Value,
    role: &str,
    maker: Maker,
    at: &str,
    ask: &mut Ask,
    said: &mut Said,
) -> Result<(), Invalid> {
    match (single(block, at)?, role) {
        (("text", value), _) => said.text.push_str(spoken(value, at, ask)?),
        (("cachePoint", point), _) if !at.ends_with(".content.0") => cache_point(point, maker, at, ask)?,
        (("image", image), "user") => read_image(image, at, ask)?,
        (("document", document), "user") => {
            read_document(document, at, ask)?;
            said.documents = true;
        }
        (("toolUse", tool), "assistant") => tool_use(tool, at, ask, said)?,
        (("toolResult", result), "user") => tool_result(result, at, ask, said)?,
        (("reasoningContent", thought), "assistant") => match single(thought, at)? {
            ("reasoningText", inner) => {
                text(inner.get("text"), &format!("{at}.reasoningText.text"))?;
                if maker == Maker::Anthropic {
                    text(inner.get("signature"), &format!("{at}.reasoningText.signature"))?;
                }
            }
            ("redactedContent", data) => bytes(Some(data), at)?,
            _ => return refuse(format!("{at}.reasoningContent has an unknown member."), at),
        },
        ((kind, _), role) => return refuse(format!("{at}: a {role} message cannot have {kind} here."), at),
    }
    Ok(())
}

/// Base64 text that is not empty.
fn bytes(value: Option<&Value>, at: &str) -> Result<(), Invalid> {
    let data = text(value, &format!("{at}.source.bytes"))?;
    match BASE64_STANDARD.decode(data) {
        Ok(bytes) if !bytes.is_empty() => Ok(()),
        _ => refuse(format!("{at}: the bytes are not valid base64, or there are none."), at),
    }
}

fn read_image(image: &Value, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    only(object(image, at)?, &["format", "source"], at)?;
    let format = image.get("format").and_then(Value::as_str).unwrap_or_default();
    if !matches!(format, "png" | "jpeg" | "gif" | "webp") {
        return refuse(format!("{at}.image.format must be one of: png, jpeg, gif, webp."), at);
    }
    ask.images += 1;
    source(image, at)
}

fn source(holder: &Value, at: &str) -> Result<(), Invalid> {
    match single(holder.get("source").unwrap_or(&Value::Null), at)? {
        ("bytes", data) => bytes(Some(data), at),
        ("s3Location", place)
            if place.get("uri").and_then(Value::as_str).is_some_and(|u| u.starts_with("s3://")) =>
        {
            Ok(())
        }
        _ => refuse(format!("{at}.source is not valid."), at),
    }
}

fn read_document(document: &Value, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    only(object(document, at)?, &["format", "name", "source", "context", "citations"], at)?;
    let name = text(document.get("name"), &format!("{at}.document.name"))?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "-()[]".contains(c);
    if name.is_empty() || name.len() > 200 || !name.chars().all(allowed) || name.contains("  ") {
        let message = "The document file name can only contain alphanumeric characters, whitespace characters, \
                       hyphens, parentheses, and square brackets. The name can't contain more than one consecutive \
                       whitespace character.";
        return refuse(message, at);
    }
    let mark = format!("document {name}");
    if ask.input.contains(&mark) {
        return refuse("Duplicate document names are not allowed.", at);
    }
    ask.input.push(mark);
    let formats = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
    if !document.get("format").and_then(Value::as_str).is_some_and(|format| formats.contains(&format)) {
        return refuse(format!("{at}.document.format is not valid."), at);
    }
    source(document, at)
}

fn tool_use(tool: &Value, at: &str, ask: &mut Ask, said: &mut Said) -> Result<(), Invalid> {
    only(object(tool, at)?, &["toolUseId", "name", "input"], at)?;
    let id = identifier(tool, at)?;
    let name = text(tool.get("name"), &format!("{at}.toolUse.name"))?;
    let input = tool.get("input").filter(|input| input.is_object());
    let Some(input) = input else {
        return refuse(
            format!("The format of the value at {at}.toolUse.input is invalid. Provide a json object."),
            at,
        );
    };
    ask.input.push(format!("{name}{input}"));
    if !said.used.insert(id.to_owned()) {
        return refuse(format!("{at}: a toolUseId is there twice."), at);
    }
    Ok(())
}

fn identifier<'v>(value: &'v Value, at: &str) -> Result<&'v str, Invalid> {
    let id = text(value.get("toolUseId"), &format!("{at}.toolUseId"))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
        let message =
            format!("Value '{id}' at '{at}.toolUseId' failed to satisfy constraint: [a-zA-Z0-9_.:-]+");
        return refuse(message, at);
    }
    Ok(id)
}

fn tool_result(result: &Value, at: &str, ask: &mut Ask, said: &mut Said) -> Result<(), Invalid> {
    only(object(result, at)?, &["toolUseId", "content", "status"], at)?;
    let id = identifier(result, at)?;
    if !said.answered.insert(id.to_owned()) {
        return refuse(format!("{at}: a toolUseId is answered twice."), at);
    }
    let status = result.get("status").map(|status| status.as_str().unwrap_or_default());
    if !matches!(status, None | Some("success" | "error")) {
        return refuse(format!("{at}.status must be one of: success, error."), at);
    }
    let Some(content) = result.get("content").and_then(Value::as_array) else {
        return refuse(format!("{at}.toolResult.content is required."), at);
    };
    let mut told = String::new();
    for part in content {
        match single(part, at)? {
            ("text", value) => told.push_str(spoken(value, at, ask)?),
            ("json", value) => {
                told.push_str(&value.to_string());
                ask.input.push(value.to_string());
            }
            ("image", image) => read_image(image, at, ask)?,
            ("document", document) => read_document(document, at, ask)?,
            (other, _) => return refuse(format!("{at}: a result cannot have {other}."), at),
        }
    }
    ask.tool_result = Some(if status == Some("error") { format!("error: {told}") } else { told });
    Ok(())
}
