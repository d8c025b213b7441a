//! Validates tools, their choice, and the form that the answer must have.

use serde_json::{Map, Value, json};

use super::request::{given, one_of, only_known, refuse};
use crate::ask::{Ask, Choice, Invalid, Tool, text};
use crate::schema::{first_open_object, is_tool_name};
use crate::search;

/// A strict schema names every member and requires it.
fn refuse_open(
    strict: bool,
    schema: &Value,
    whose: &str,
    code: &'static str,
    at: &str,
) -> Result<(), Invalid> {
    let Some(open) = first_open_object(schema, true).filter(|_| strict) else { return Ok(()) };
    let message = format!(
        "Invalid schema for {whose}: in {open}, 'additionalProperties' is required to be supplied and to be false, and 'required' to name every member."
    );
    Err(refuse(code, message, at))
}

const SEARCHES: &[&str] = &["web_search", "web_search_2025_08_26", "web_search_preview"];

/// Reads `tools` and `tool_choice`.
pub(super) fn read_tools(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    const KNOWN: &[&str] = &["type", "name", "description", "parameters", "strict", "defer_loading"];
    for (index, tool) in given(object, "tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = format!("tools[{index}]");
        if tool.get("type").and_then(Value::as_str).is_some_and(|kind| SEARCHES.contains(&kind)) {
            let known = &["type", "search_context_size", "user_location", "filters"];
            only_known(tool.as_object().unwrap_or(&Map::new()), known, &at)?;
            ask.searches = search::EACH;
            continue;
        }
        one_of(tool.get("type").unwrap_or(&Value::Null), &["function"], &format!("{at}.type"))?;
        let members =
            tool.as_object().ok_or_else(|| Invalid::new(format!("'{at}' must be an object."), &*at))?;
        only_known(members, KNOWN, &at)?;
        let Some(name) = tool.get("name").and_then(Value::as_str) else {
            let at = format!("{at}.name");
            return Err(refuse(
                "missing_required_parameter",
                format!("Missing required parameter: '{at}'."),
                at,
            ));
        };
        if !is_tool_name(name, 64) {
            let message = format!("Invalid '{at}.name': string does not match pattern.");
            return Err(refuse("invalid_value", message, format!("{at}.name")));
        }
        let schema = given(members, "parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
        let strict = tool.get("strict") == Some(&Value::Bool(true));
        let whose = format!("function '{name}'");
        refuse_open(strict, &schema, &whose, "invalid_function_parameters", &format!("{at}.parameters"))?;
        let description = tool.get("description").and_then(Value::as_str).unwrap_or_default();
        ask.input.push(format!("{name}{description}{schema}"));
        ask.tools.push(Tool { name: name.to_owned(), schema });
    }
    ask.choice = read_choice(object, ask)?;
    Ok(())
}

fn read_choice(object: &Map<String, Value>, ask: &mut Ask) -> Result<Choice, Invalid> {
    let word = |value: &Value, at: &str| {
        Ok(match one_of(value, &["none", "auto", "required"], at)? {
            "none" => Choice::None,
            "required" => Choice::Required,
            _ => Choice::Auto,
        })
    };
    let Some(choice) = given(object, "tool_choice") else { return Ok(Choice::Auto) };
    if choice.is_string() {
        return word(choice, "tool_choice");
    }
    let at = "tool_choice.type";
    match one_of(choice.get("type").unwrap_or(&Value::Null), &["function", "allowed_tools"], at)? {
        "allowed_tools" => {
            let names: Vec<&str> = choice
                .get("tools")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|tool| tool.get("name").and_then(Value::as_str))
                .collect();
            ask.tools.retain(|tool| names.contains(&tool.name.as_str()));
            word(choice.get("mode").unwrap_or(&Value::Null), "tool_choice.mode")
        }
        _ => {
            let name = text(choice.get("name"), "tool_choice.name")?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
                return Err(Invalid::new(message, "tool_choice"));
            }
            Ok(Choice::Named(name.to_owned()))
        }
    }
}

/// Reads `text`.
pub(super) fn read_format(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(config) = given(object, "text").and_then(Value::as_object) else { return Ok(()) };
    only_known(config, &["format", "verbosity"], "text")?;
    let Some(format) = given(config, "format") else { return Ok(()) };
    let at = "text.format.type";
    let kind =
        one_of(format.get("type").unwrap_or(&Value::Null), &["text", "json_object", "json_schema"], at)?;
    ask.json = match kind {
        "json_object" if !ask.input.iter().any(|text| text.to_lowercase().contains("json")) => {
            let message = "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.";
            return Err(Invalid::new(message, "input"));
        }
        "json_object" => Some(json!({"type": "object", "properties": {"answer": {"type": "string"}}})),
        "json_schema" => {
            let name = text(format.get("name"), "text.format.name")?;
            let schema =
                format.get("schema").filter(|schema| schema.is_object()).cloned().ok_or_else(|| {
                    let message = "Missing required parameter: 'text.format.schema'.";
                    refuse("missing_required_parameter", message, "text.format.schema")
                })?;
            let strict = format.get("strict") == Some(&Value::Bool(true));
            let whose = format!("response_format '{name}'");
            refuse_open(strict, &schema, &whose, "invalid_json_schema", "text.format.schema")?;
            ask.input.push(schema.to_string());
            Some(schema)
        }
        _ => None,
    };
    Ok(())
}
