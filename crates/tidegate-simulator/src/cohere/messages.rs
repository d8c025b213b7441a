//! Validates messages of Cohere's chat: roles, contents, and that results answer their calls.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::ask::{Ask, Invalid, only_known, text};

fn refuse<T>(message: impl Into<String>, at: &str) -> Result<T, Invalid> {
    Err(Invalid::new(message, at))
}

/// Reads `messages`.
pub(super) fn read(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let messages = object.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let messages =
        messages.ok_or_else(|| Invalid::new("messages must have at least one message", "messages"))?;
    let mut open: BTreeSet<String> = BTreeSet::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        let members =
            message.as_object().ok_or_else(|| Invalid::new(format!("{at} must be an object"), &*at))?;
        let role = text(members.get("role"), &format!("{at}.role"))?;
        if role != "tool" && !open.is_empty() {
            return refuse(format!("{at}: every tool call must have a tool message that answers it"), &at);
        }
        match role {
            "system" | "user" => {
                only_known(members, &["role", "content"], &at)?;
                let said = content(members.get("content"), role, &at, ask)?;
                if said.is_empty() && ask.images == 0 {
                    return refuse(format!("{at}: message content must not be empty"), &at);
                }
                if role == "user" {
                    (ask.last_text, ask.tool_result) = (said, None);
                }
            }
            "assistant" => open = assistant(members, &at, ask)?,
            "tool" => {
                only_known(members, &["role", "content", "tool_call_id"], &at)?;
                let id = text(members.get("tool_call_id"), &format!("{at}.tool_call_id"))?;
                if !open.remove(id) {
                    return refuse(format!("{at}: tool_call_id {id} does not match a tool call"), &at);
                }
                ask.tool_result = Some(content(members.get("content"), role, &at, ask)?);
            }
            _ => return refuse(format!("{at}: role must be one of system, user, assistant, tool"), &at),
        }
    }
    match messages.last().and_then(|last| last.get("role")).and_then(Value::as_str) {
        Some("user" | "tool") if open.is_empty() => Ok(()),
        _ => {
            refuse("the last message must be from the user or a tool, and answer every tool call", "messages")
        }
    }
}

fn assistant(members: &Map<String, Value>, at: &str, ask: &mut Ask) -> Result<BTreeSet<String>, Invalid> {
    only_known(members, &["role", "content", "tool_plan", "tool_calls", "citations"], at)?;
    let calls = members.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty());
    let Some(calls) = calls else {
        if content(members.get("content"), "assistant", at, ask)?.is_empty() {
            return refuse(format!("{at}: an assistant message must have content or tool_calls"), at);
        }
        return Ok(BTreeSet::new());
    };
    if let Some(plan) = members.get("tool_plan") {
        ask.input.push(text(Some(plan), &format!("{at}.tool_plan"))?.to_owned());
    }
    let mut open = BTreeSet::new();
    for call in calls {
        let at = format!("{at}.tool_calls");
        let name = text(call.pointer("/function/name"), &at)?;
        let arguments = text(call.pointer("/function/arguments"), &at)?;
        if !serde_json::from_str::<Value>(arguments).is_ok_and(|arguments| arguments.is_object()) {
            return refuse(format!("{at}: arguments must be the text of a JSON object"), &at);
        }
        ask.input.push(format!("{name}{arguments}"));
        if !open.insert(text(call.get("id"), &at)?.to_owned()) {
            return refuse(format!("{at}: ids must differ"), &at);
        }
    }
    Ok(open)
}

/// A string or blocks; the text in it.
fn content(value: Option<&Value>, role: &str, at: &str, ask: &mut Ask) -> Result<String, Invalid> {
    let mut out = String::new();
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => out.push_str(text),
        Some(Value::Array(blocks)) => {
            for block in blocks {
                let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
                match (kind, role) {
                    ("text", _) => out.push_str(text(block.get("text"), &format!("{at}.text"))?),
                    ("thinking", "assistant") => {
                        text(block.get("thinking"), &format!("{at}.thinking"))?;
                    }
                    ("document", "tool") => match block.pointer("/document/data") {
                        Some(Value::String(data)) => out.push_str(data),
                        Some(data) if data.is_object() => out.push_str(&data.to_string()),
                        _ => return refuse(format!("{at}: a document must have data"), at),
                    },
                    ("image_url", "user") => image(block, at, ask)?,
                    _ => {
                        return refuse(
                            format!("{at}: a {role} message cannot have content of type '{kind}'"),
                            at,
                        );
                    }
                }
            }
        }
        Some(_) => return refuse(format!("{at}.content must be a string or an array"), at),
    }
    if !out.is_empty() {
        ask.input.push(out.clone());
    }
    Ok(out)
}

fn image(block: &Value, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    let url = text(block.pointer("/image_url/url"), &format!("{at}.image_url.url"))?;
    let inline = url.strip_prefix("data:image/").is_some_and(|rest| rest.contains(";base64,"));
    if !inline && !url.starts_with("http") {
        return refuse(format!("{at}: an image must be a data URI or a web URL"), at);
    }
    ask.images += 1;
    Ok(())
}
