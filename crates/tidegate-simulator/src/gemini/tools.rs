//! Validates tools and how they are chosen.

use serde_json::json;

use super::message::Message;
use super::schema;
use crate::ask::{Ask, Choice, Invalid, Tool};
use crate::search;

const TOOL: &[&str] = &[
    "functionDeclarations",
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "retrieval",
    "googleMaps",
    "enterpriseWebSearch",
    "computerUse",
    "fileSearch",
];
const FUNCTION: &[&str] = &[
    "name",
    "description",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
    "behavior",
];

pub(super) fn read_tools(body: &Message<'_>, ask: &mut Ask) -> Result<(), Invalid> {
    for (tool, at) in body.each("tools")? {
        let tool = Message::read(tool, TOOL, &at)?;
        if ["googleSearch", "enterpriseWebSearch"].iter().any(|search| tool.has(search)) {
            // Earlier models bill the prompt, whatever was asked for it.
            ask.searches = if ask.model.contains("gemini-2") { 1 } else { search::EACH };
        }
        for (function, at) in tool.each("functionDeclarations")? {
            let tool = read_function(&Message::read(function, FUNCTION, &at)?, &at, ask)?;
            if ask.tools.iter().any(|known| known.name == tool.name) {
                return Err(Invalid::new(format!("Duplicate function declaration found: {}", tool.name), at));
            }
            ask.tools.push(tool);
        }
    }
    Ok(())
}

fn read_function(function: &Message<'_>, at: &str, ask: &mut Ask) -> Result<Tool, Invalid> {
    let name = function.text("name")?.unwrap_or_default().to_owned();
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
    if !first || !rest || name.len() > 64 {
        let message = format!(
            "* GenerateContentRequest.{at}.name: Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.\n"
        );
        return Err(Invalid::new(message, at));
    }
    let schema = match (function.get("parameters"), function.get("parametersJsonSchema")) {
        (Some(_), Some(_)) => {
            let message = format!(
                "Function '{name}': only one of parameters and parameters_json_schema can be specified."
            );
            return Err(Invalid::new(message, at));
        }
        (Some(own), None) => {
            schema::check(own, &format!("{at}.parameters"))?;
            schema::lowered(own)
        }
        (None, Some(schema)) if schema.is_object() => schema.clone(),
        (None, Some(_)) => return Err(Invalid::new("parameters_json_schema must be an object.", at)),
        (None, None) => json!({"type": "object"}),
    };
    let description = function.text("description")?.unwrap_or_default();
    ask.input.push(format!("{name}{description}{schema}"));
    Ok(Tool { name, schema })
}

pub(super) fn read_choice(body: &Message<'_>, ask: &mut Ask) -> Result<(), Invalid> {
    let at = "tool_config";
    let known = &["functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"];
    let Some(config) = body.get("toolConfig") else { return Ok(()) };
    let Some(calling) = Message::read(config, known, at)?.get("functionCallingConfig") else { return Ok(()) };
    let known = &["mode", "allowedFunctionNames", "streamFunctionCallArguments"];
    let calling = Message::read(calling, known, at)?;
    let names = calling.texts("allowedFunctionNames")?;
    let mode = calling.text("mode")?.unwrap_or("MODE_UNSPECIFIED");
    if !matches!(mode, "ANY" | "VALIDATED") && !names.is_empty() {
        let message = "Allowed function names should only be set when the mode is ANY or VALIDATED.";
        return Err(Invalid::new(message, at));
    }
    if let Some(unknown) = names.iter().find(|name| ask.tools.iter().all(|tool| tool.name != **name)) {
        let message = format!("Allowed function names contain unknown function names: {unknown}.");
        return Err(Invalid::new(message, at));
    }
    ask.choice = match mode {
        "MODE_UNSPECIFIED" | "AUTO" | "VALIDATED" => Choice::Auto,
        "NONE" => Choice::None,
        "ANY" if ask.tools.is_empty() => {
            let message = "Function calling config is set without function_declarations.";
            return Err(Invalid::new(message, at));
        }
        "ANY" => match names.as_slice() {
            [only] => Choice::Named(only.clone()),
            _ => Choice::Required,
        },
        other => {
            let message = format!("Invalid value at 'tool_config.function_calling_config.mode', \"{other}\"");
            return Err(Invalid::new(message, at));
        }
    };
    if !names.is_empty() {
        ask.tools.retain(|tool| names.contains(&tool.name));
    }
    Ok(())
}
