//! Validates tools and their choice.

use serde_json::{Map, Value};

use super::messages::mark;
use crate::ask::{Ask, Choice, Invalid, Tool, text};
use crate::schema::{first_open_object, is_tool_name};
use crate::search;

const MEMBERS: &[&str] = &[
    "name",
    "description",
    "input_schema",
    "type",
    "cache_control",
    "strict",
    "eager_input_streaming",
    "allowed_callers",
    "defer_loading",
    "input_examples",
];

/// Reads `tools` and `tool_choice`.
pub(super) fn read(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    for (index, tool) in object.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        if tool.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("web_search_20")) {
            read_search(tool, &format!("tools.{index}"), ask)?;
            continue;
        }
        let tool = read_tool(tool, &format!("tools.{index}"), ask)?;
        if ask.tools.iter().any(|known| known.name == tool.name) {
            return Err(Invalid::new("tools: Tool names must be unique.", "tools"));
        }
        ask.tools.push(tool);
    }
    let Some(choice) = object.get("tool_choice").filter(|choice| !choice.is_null()) else { return Ok(()) };
    let refuse = |message: &str| Err(Invalid::new(message, "tool_choice"));
    ask.single_call = choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true));
    ask.choice = match choice.get("type").and_then(Value::as_str) {
        Some("auto") => Choice::Auto,
        Some("none") => Choice::None,
        Some("any") => Choice::Required,
        Some("tool") => Choice::Named(text(choice.get("name"), "tool_choice.name")?.to_owned()),
        _ => return refuse("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'"),
    };
    match &ask.choice {
        Choice::Required if ask.tools.is_empty() => {
            refuse("tool_choice may only be specified while providing tools.")
        }
        Choice::Named(name) if !ask.tools.iter().any(|tool| tool.name == *name) => {
            refuse("Tool names a tool that is not in the list of tools.")
        }
        _ => Ok(()),
    }
}

/// The service's own search of the web.
fn read_search(tool: &Value, at: &str, ask: &mut Ask) -> Result<(), Invalid> {
    const KNOWN: &[&str] =
        &["type", "name", "max_uses", "allowed_domains", "blocked_domains", "user_location", "cache_control"];
    let members = tool.as_object().into_iter().flatten();
    if let Some((key, _)) = members.into_iter().find(|(key, _)| !KNOWN.contains(&key.as_str())) {
        return Err(Invalid::new(format!("{at}.{key}: Extra inputs are not permitted"), at));
    }
    if tool.get("name").and_then(Value::as_str) != Some("web_search") {
        return Err(Invalid::new(format!("{at}.name: Input should be 'web_search'"), at));
    }
    if tool.get("allowed_domains").is_some() && tool.get("blocked_domains").is_some() {
        return Err(Invalid::new(format!("{at}: only one of allowed_domains and blocked_domains"), at));
    }
    let most = crate::ask::count(tool.get("max_uses"), 1, &format!("{at}.max_uses"))?;
    ask.searches = most.unwrap_or(search::EACH).min(search::EACH);
    Ok(())
}

fn read_tool(tool: &Value, at: &str, ask: &mut Ask) -> Result<Tool, Invalid> {
    let members = tool
        .as_object()
        .ok_or_else(|| Invalid::new(format!("{at}: Input should be a valid dictionary"), at))?;
    if !matches!(members.get("type").and_then(Value::as_str), None | Some("custom")) {
        return Err(Invalid::new(format!("{at}.type: only custom tools are simulated"), at));
    }
    if let Some(key) = members.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
        return Err(Invalid::new(format!("{at}.custom.{key}: Extra inputs are not permitted"), at));
    }
    let name = text(members.get("name"), &format!("{at}.name"))?.to_owned();
    if !is_tool_name(&name, 128) {
        let message = format!("{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'");
        return Err(Invalid::new(message, at));
    }
    let schema = members.get("input_schema").filter(|schema| schema.is_object()).cloned();
    let schema =
        schema.ok_or_else(|| Invalid::new(format!("{at}.custom.input_schema: Field required"), at))?;
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(Invalid::new(format!("{at}.custom.input_schema.type: Field required"), at));
    }
    let strict = members.get("strict") == Some(&Value::Bool(true));
    if strict && first_open_object(&schema, false).is_some() {
        let message =
            format!("{at}.custom: For 'object' type, 'additionalProperties' must be explicitly set to false");
        return Err(Invalid::new(message, at));
    }
    let description = members.get("description").and_then(Value::as_str).unwrap_or_default();
    ask.input.push(format!("{name}{description}{schema}"));
    mark(members, ask)?;
    Ok(Tool { name, schema })
}
