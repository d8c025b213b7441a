//! Validates messages and their blocks: who may say what after whom.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::ask::{Ask, Invalid, text};

/// Tool uses and results of one message.
#[derive(Default)]
struct Tools {
    used: HashSet<String>,
    answered: HashSet<String>,
}

/// Reads the system prompt.
pub(super) fn read_system(system: &Value, ask: &mut Ask) -> Result<(), Invalid> {
    read_content(system, "system", ask, &mut Tools::default()).map(drop)
}

/// Notes a cache marker.
pub(super) fn mark(block: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(marker) = block.get("cache_control").filter(|marker| !marker.is_null()) else { return Ok(()) };
    let at = "cache_control";
    let ttl = marker.get("ttl").and_then(Value::as_str);
    if marker.get("type").and_then(Value::as_str) != Some("ephemeral")
        || !matches!(ttl, None | Some("5m" | "1h"))
    {
        return Err(Invalid::new(format!("{at}: Input should be 'ephemeral', for '5m' or '1h'"), at));
    }
    ask.cache_markers += 1;
    ask.cached_texts = Some(ask.input.len());
    if ask.cache_markers > 4 {
        let found = ask.cache_markers;
        let message = format!("A maximum of 4 blocks with cache_control may be provided. Found {found}.");
        return Err(Invalid::new(message, at));
    }
    Ok(())
}

/// Reads `messages`.
pub(super) fn read(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let messages = object
        .get("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| Invalid::new("messages: at least one message is required", "messages"))?;
    let mut open: HashSet<String> = HashSet::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut before = None;
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        let role = text(message.get("role"), &format!("{at}.role"))?;
        let after = messages.get(index + 1).and_then(|next| next.get("role")).and_then(Value::as_str);
        check_order(role, before, after, &at)?;
        before = Some(role);
        let content = message
            .get("content")
            .ok_or_else(|| Invalid::new(format!("{at}.content: Field required"), &*at))?;
        if is_empty(content) && !(role == "assistant" && after.is_none()) {
            let text = format!(
                "{at}: all messages must have non-empty content except for the optional final assistant message"
            );
            return Err(Invalid::new(text, at));
        }
        let mut tools = Tools::default();
        if role != "system" {
            ask.tool_result = None;
        }
        let content = read_content(content, &at, ask, &mut tools)?;
        check_tools(role, &open, &tools, &mut seen, &at)?;
        if role != "system" || open.is_empty() {
            open = tools.used;
        }
        if role == "assistant" && after.is_none() && content.ends_with(char::is_whitespace) {
            let text = "messages: final assistant content cannot end with trailing whitespace";
            return Err(Invalid::new(text, at));
        }
        if role != "system" {
            ask.last_text = content;
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(Invalid::new("messages: `tool_use` ids were found without `tool_result` blocks.", "messages"))
}

/// Later instructions stand between a user's turn and the answer to it.
fn check_order(role: &str, before: Option<&str>, after: Option<&str>, at: &str) -> Result<(), Invalid> {
    let message = match (role, before, after) {
        ("user" | "assistant", _, _) => return Ok(()),
        ("system", Some("user"), None | Some("assistant")) => return Ok(()),
        ("system", None | Some("system" | "assistant"), _) => {
            format!("{at}: role 'system' must follow a 'user' message")
        }
        ("system", _, _) => {
            format!("{at}: role 'system' must precede an 'assistant' message or end the array")
        }
        _ => format!("{at}.role: Input should be 'user', 'assistant' or 'system'"),
    };
    Err(Invalid::new(message, format!("{at}.role")))
}

fn check_tools(
    role: &str,
    open: &HashSet<String>,
    tools: &Tools,
    seen: &mut HashSet<String>,
    at: &str,
) -> Result<(), Invalid> {
    let refuse = |message: String| Err(Invalid::new(message, at));
    let ends = if role == "assistant" { &tools.answered } else { &tools.used };
    if !ends.is_empty() {
        return refuse(format!(
            "{at}: `tool_use` blocks belong to assistants, `tool_result` blocks to users."
        ));
    }
    if let Some(stray) = tools.answered.iter().find(|id| !open.contains(*id)) {
        return refuse(format!(
            "{at}: unexpected `tool_use_id` found in `tool_result` blocks: {stray}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
        ));
    }
    if let Some(missing) = open.iter().find(|id| !tools.answered.contains(*id)) {
        return refuse(format!(
            "{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}."
        ));
    }
    match tools.used.iter().find(|id| !seen.insert((*id).clone())) {
        Some(_) => refuse("messages: `tool_use` ids must be unique".to_owned()),
        None => Ok(()),
    }
}

fn is_empty(content: &Value) -> bool {
    content.as_str() == Some("") || content.as_array().is_some_and(Vec::is_empty)
}

/// Text of a content value; notes tool uses and results.
fn read_content(content: &Value, at: &str, ask: &mut Ask, tools: &mut Tools) -> Result<String, Invalid> {
    match content {
        Value::String(text) => {
            if !text.is_empty() {
                spoken(text, at, ask)?;
            }
            Ok(text.clone())
        }
        Value::Array(blocks) => {
            let mut out = String::new();
            for block in blocks {
                out.push_str(&read_block(block, at, ask, tools)?);
            }
            Ok(out)
        }
        _ => Err(Invalid::new(format!("{at}.content: Input should be a string or an array"), at)),
    }
}

/// Notes a text that must say something.
fn spoken(text: &str, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    let message = match text {
        "" => "text content blocks must be non-empty",
        blank if blank.trim().is_empty() => "text content blocks must contain non-whitespace text",
        text => {
            ask.input.push(text.to_owned());
            return Ok(());
        }
    };
    Err(Invalid::new(format!("{at}: {message}"), at))
}

/// One block; its text, if it is one.
fn read_block(block: &Value, at: &str, ask: &mut Ask, tools: &mut Tools) -> Result<String, Invalid> {
    let mut out = String::new();
    match block.get("type").and_then(Value::as_str) {
        Some("text") => {
            text(block.get("text"), &format!("{at}.text"))?.clone_into(&mut out);
            spoken(&out, at, ask)?;
        }
        Some("image") => read_image(block, at, ask)?,
        Some("document") => {
            text(block.pointer("/source/type"), &format!("{at}.source.type"))?;
        }
        Some("thinking") => {
            text(block.get("signature"), &format!("{at}.thinking.signature"))?;
        }
        Some("redacted_thinking") => {
            text(block.get("data"), &format!("{at}.redacted_thinking.data"))?;
        }
        Some("tool_use") => {
            tools.used.insert(text(block.get("id"), &format!("{at}.tool_use.id"))?.to_owned());
            let name = text(block.get("name"), &format!("{at}.tool_use.name"))?;
            let input = block.get("input").filter(|input| input.is_object()).ok_or_else(|| {
                Invalid::new(format!("{at}.tool_use.input: Input should be a valid dictionary"), at)
            })?;
            ask.input.push(format!("{name}{input}"));
        }
        Some("tool_result") => {
            let id = text(block.get("tool_use_id"), &format!("{at}.tool_result.tool_use_id"))?;
            tools.answered.insert(id.to_owned());
            let result = match block.get("content") {
                None | Some(Value::Null) => String::new(),
                Some(content) => read_content(content, at, ask, &mut Tools::default())?,
            };
            let failed = block.get("is_error") == Some(&Value::Bool(true));
            ask.tool_result = Some(if failed { format!("error: {result}") } else { result });
        }
        other => {
            let tag = other.unwrap_or("null");
            return Err(Invalid::new(
                format!("{at}: Input tag '{tag}' found using 'type' is not expected"),
                at,
            ));
        }
    }
    if let Some(members) = block.as_object() {
        mark(members, ask)?;
    }
    Ok(out)
}

fn read_image(block: &Value, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    ask.images += 1;
    let of = |key: &str| block.get("source").and_then(|source| source.get(key)).and_then(Value::as_str);
    let refuse = |message: &str| Err(Invalid::new(format!("{at}.image.source: {message}"), at));
    match of("type") {
        Some("base64") => {
            let kinds = [Some("image/jpeg"), Some("image/png"), Some("image/gif"), Some("image/webp")];
            if !kinds.contains(&of("media_type")) {
                return refuse(
                    "media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
                );
            }
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
            match of("data") {
                Some(data) if !data.is_empty() && data.bytes().all(plain) => Ok(()),
                _ => refuse("data: invalid base64 data"),
            }
        }
        Some("url") if of("url").is_some_and(|url| url.starts_with("http")) => Ok(()),
        Some("url") => refuse("url: Only HTTPS URLs are supported."),
        Some("file") => Ok(()),
        _ => refuse("type: Input should be 'base64', 'url' or 'file'"),
    }
}
