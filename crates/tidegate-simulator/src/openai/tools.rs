//! Validates tools, their choice, and the form that the answer must have.

use serde_json::{Map, Value, json};

use crate::ask::{Ask, Choice, Invalid, Tool, text};
use crate::schema::{first_open_object, is_tool_name};

/// A strict schema names every member and requires it.
fn refuse_open(strict: bool, schema: &Value, whose: &str, at: &str) -> Result<(), Invalid> {
    match first_open_object(schema, true).filter(|_| strict) {
        None => Ok(()),
        Some(open) => {
            let message = format!(
                "Invalid schema for {whose}: in {open}, 'additionalProperties' is required to be false and 'required' to name every member."
            );
            Err(Invalid::new(message, at))
        }
    }
}

/// Reads `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn read_tools(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    for (index, tool) in object.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = format!("tools[{index}]");
        if tool.get("type").and_then(Value::as_str) != Some("function") {
            return Err(Invalid::new(
                format!("Invalid value at '{at}.type': only 'function' is supported."),
                at,
            ));
        }
        let name = text(tool.pointer("/function/name"), &format!("{at}.function.name"))?.to_owned();
        if !is_tool_name(&name, 64) {
            let message =
                format!("Invalid '{at}.function.name': expected a string of letters, digits, _ and -.");
            return Err(Invalid::new(message, at));
        }
        let schema =
            tool.pointer("/function/parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
        let strict = tool.pointer("/function/strict") == Some(&Value::Bool(true));
        refuse_open(strict, &schema, &format!("function '{name}'"), &at)?;
        let description = tool.pointer("/function/description").and_then(Value::as_str).unwrap_or_default();
        ask.input.push(format!("{name}{description}{schema}"));
        ask.tools.push(Tool { name, schema });
    }
    ask.single_call = object.get("parallel_tool_calls") == Some(&Value::Bool(false));
    let choice = object.get("tool_choice").filter(|choice| !choice.is_null());
    if choice.is_some() && ask.tools.is_empty() {
        return Err(Invalid::new("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice"));
    }
    ask.choice = match choice {
        None => Choice::Auto,
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Required,
            _ => return Err(Invalid::new("Invalid value for 'tool_choice'.", "tool_choice")),
        },
        Some(named) => {
            let name = text(named.pointer("/function/name"), "tool_choice.function.name")?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                return Err(Invalid::new("Tool choice names a tool that is not in 'tools'.", "tool_choice"));
            }
            Choice::Named(name.to_owned())
        }
    };
    Ok(())
}

/// Reads `response_format`.
pub(super) fn read_format(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(format) = object.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(());
    };
    ask.json = match format.get("type").and_then(Value::as_str) {
        Some("text") => None,
        Some("json_object") if !ask.input.iter().any(|text| text.to_lowercase().contains("json")) => {
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
            return Err(Invalid::new(message, "messages"));
        }
        Some("json_object") => Some(json!({"type": "object", "properties": {"answer": {"type": "string"}}})),
        Some("json_schema") => {
            let at = "response_format.json_schema.schema";
            let name = text(format.pointer("/json_schema/name"), "response_format.json_schema.name")?;
            let schema = format.pointer("/json_schema/schema").cloned();
            let schema = schema.ok_or_else(|| Invalid::new("Missing schema.", at))?;
            let strict = format.pointer("/json_schema/strict") == Some(&Value::Bool(true));
            refuse_open(strict, &schema, &format!("response_format '{name}'"), at)?;
            ask.input.push(schema.to_string());
            Some(schema)
        }
        _ => return Err(Invalid::new("Invalid value for 'response_format.type'.", "response_format.type")),
    };
    Ok(())
}
