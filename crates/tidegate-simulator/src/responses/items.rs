//! Validates the input: items, their parts, and that calls and their outputs belong together.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::answer::SEAL;
use super::request::{one_of, only_known, refuse};
use crate::ask::{Ask, Invalid, text};

const KINDS: &[&str] = &["message", "function_call", "function_call_output", "reasoning", "item_reference"];

const ROLES: &[&str] = &["assistant", "system", "developer", "user"];

/// What the items so far have left open.
#[derive(Default)]
struct Open {
    /// Calls without output.
    calls: Vec<String>,
    /// All calls.
    known: HashSet<String>,
}

/// Reads `input`.
pub(super) fn read_input(input: &Value, ask: &mut Ask) -> Result<(), Invalid> {
    let items = match input {
        Value::String(said) => {
            ask.last_text.clone_from(said);
            ask.input.push(said.clone());
            return Ok(());
        }
        Value::Array(items) => items,
        _ => {
            let message = "Invalid type for 'input': expected one of a string or array of input items.";
            return Err(refuse("invalid_type", message, "input"));
        }
    };
    let mut open = Open::default();
    for (index, item) in items.iter().enumerate() {
        let at = format!("input[{index}]");
        let members = item.as_object().ok_or_else(|| {
            refuse("invalid_type", format!("Invalid type for '{at}': expected an object."), &*at)
        })?;
        read_item(members, &at, &mut open, ask)?;
    }
    match open.calls.first() {
        None => Ok(()),
        Some(id) => Err(Invalid::new(format!("No tool output found for function call {id}."), "input")),
    }
}

fn read_item(item: &Map<String, Value>, at: &str, open: &mut Open, ask: &mut Ask) -> Result<(), Invalid> {
    let kind = match item.get("type") {
        Some(kind) => one_of(kind, KINDS, &format!("{at}.type"))?,
        None if item.contains_key("role") => "message",
        None => "item_reference",
    };
    match kind {
        "message" => read_message(item, at, ask),
        "function_call" => {
            only_known(item, &["type", "id", "call_id", "name", "arguments", "status"], at)?;
            prefixed(item, "fc", at)?;
            let id = needed(item, "call_id", at)?;
            open.known.insert(id.to_owned());
            open.calls.push(id.to_owned());
            let (name, arguments) = (needed(item, "name", at)?, needed(item, "arguments", at)?);
            ask.input.push(format!("{name}{arguments}"));
            Ok(())
        }
        "function_call_output" => {
            only_known(item, &["type", "id", "call_id", "output", "status"], at)?;
            let id = needed(item, "call_id", at)?;
            if !open.known.contains(id) {
                let message = format!("No tool call found for function call output with call_id {id}.");
                return Err(Invalid::new(message, "input"));
            }
            open.calls.retain(|call| call != id);
            let output = content(item.get("output"), "user", &format!("{at}.output"), ask)?;
            ask.tool_result = Some(output.clone());
            ask.last_text.clone_from(&output);
            ask.input.push(output);
            Ok(())
        }
        "reasoning" => read_reasoning(item, at, ask),
        _ => {
            let id = needed(item, "id", at)?;
            Err(Invalid { status: 404, ..Invalid::new(format!("Item with id '{id}' not found."), "input") })
        }
    }
}

fn needed<'i>(item: &'i Map<String, Value>, key: &str, at: &str) -> Result<&'i str, Invalid> {
    let at = format!("{at}.{key}");
    match item.get(key) {
        None => Err(refuse("missing_required_parameter", format!("Missing required parameter: '{at}'."), at)),
        value => text(value, &at),
    }
}

/// Ids begin with what they are of.
fn prefixed(item: &Map<String, Value>, prefix: &str, at: &str) -> Result<(), Invalid> {
    let Some(id) = item.get("id").and_then(Value::as_str).filter(|id| !id.starts_with(prefix)) else {
        return Ok(());
    };
    let message = format!("Invalid '{at}.id': '{id}'. Expected an ID that begins with '{prefix}'.");
    Err(refuse("invalid_value", message, format!("{at}.id")))
}

fn read_message(item: &Map<String, Value>, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    only_known(item, &["type", "id", "role", "content", "status", "phase"], at)?;
    let role = one_of(item.get("role").unwrap_or(&Value::Null), ROLES, &format!("{at}.role"))?;
    if role == "assistant" {
        prefixed(item, "msg", at)?;
    }
    let said = content(item.get("content"), role, &format!("{at}.content"), ask)?;
    ask.tool_result = None;
    ask.last_text.clone_from(&said);
    ask.input.push(said);
    Ok(())
}

/// Only what this service sealed is taken back; the rest it would have to look up.
fn read_reasoning(item: &Map<String, Value>, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    only_known(item, &["type", "id", "summary", "content", "encrypted_content", "status"], at)?;
    prefixed(item, "rs", at)?;
    let id = needed(item, "id", at)?;
    if !item.get("summary").is_some_and(Value::is_array) {
        let at = format!("{at}.summary");
        return Err(refuse("missing_required_parameter", format!("Missing required parameter: '{at}'."), at));
    }
    match item.get("encrypted_content").and_then(Value::as_str) {
        None => {
            let message = format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
            );
            Err(Invalid { status: 404, ..Invalid::new(message, "input") })
        }
        Some(sealed) if sealed.starts_with(SEAL) => {
            ask.input.push(sealed.to_owned());
            Ok(())
        }
        Some(_) => {
            let message = format!("The encrypted content for item {id} could not be verified.");
            Err(Invalid { code: Some("invalid_encrypted_content"), param: None, ..Invalid::new(message, "") })
        }
    }
}

/// Text of a message's content; images are counted.
fn content(value: Option<&Value>, role: &str, at: &str, ask: &mut Ask) -> Result<String, Invalid> {
    let kinds: &[&str] = if role == "assistant" {
        &["output_text", "refusal"]
    } else {
        &["input_text", "input_image", "input_file"]
    };
    let parts = match value {
        Some(Value::String(said)) => return Ok(said.clone()),
        Some(Value::Array(parts)) => parts,
        None | Some(Value::Null) => {
            return Err(refuse(
                "missing_required_parameter",
                format!("Missing required parameter: '{at}'."),
                at,
            ));
        }
        Some(_) => {
            let message = format!("Invalid type for '{at}': expected one of a string or array of parts.");
            return Err(refuse("invalid_type", message, at));
        }
    };
    let mut said = String::new();
    for (index, part) in parts.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match one_of(part.get("type").unwrap_or(&Value::Null), kinds, &format!("{at}.type"))? {
            "refusal" => said.push_str(text(part.get("refusal"), &format!("{at}.refusal"))?),
            "input_image" => {
                image(part, &at)?;
                ask.images += 1;
            }
            "input_file" => file(part, &at)?,
            _ => said.push_str(text(part.get("text"), &format!("{at}.text"))?),
        }
    }
    Ok(said)
}

fn image(part: &Value, at: &str) -> Result<(), Invalid> {
    let at = format!("{at}.image_url");
    let url = text(part.get("image_url"), &at)?;
    if url.starts_with("http") || (url.starts_with("data:image/") && url.contains(";base64,")) {
        return Ok(());
    }
    let message = format!("Invalid '{at}'. Expected a valid URL, but got a value with an invalid format.");
    Err(refuse("invalid_value", message, at))
}

fn file(part: &Value, at: &str) -> Result<(), Invalid> {
    let ways = ["file_data", "file_url", "file_id"]
        .iter()
        .filter(|way| part.get(**way).is_some_and(Value::is_string));
    if ways.count() == 1 {
        return Ok(());
    }
    let message =
        format!("Invalid '{at}': exactly one of 'file_data', 'file_url' and 'file_id' must be given.");
    Err(refuse("invalid_value", message, at))
}
