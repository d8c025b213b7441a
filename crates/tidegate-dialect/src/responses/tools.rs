//! Tools and their choice into the one form.

use super::call::{DIALECT, optional_text};
use crate::RequestError;
use crate::canonical::{Json, Tool, ToolChoice};
use crate::decode::{need, need_text, refuse, rest_of};
use crate::json::{Kind, Value};
use crate::read::{Fields, Path, array, boolean, text, wrong};

/// Takes `tools` and `tool_choice`.
pub(super) fn decode(fields: &mut Fields<'_>) -> Result<(Vec<Tool>, Option<ToolChoice>), RequestError> {
    let mut tools = Vec::new();
    if let Some(value) = fields.take("tools") {
        array(&value, Path::Root.key("tools"), |tool, path| {
            let mut tool = Fields::read(&tool, path)?;
            if need_text(&mut tool, "type", path)? != "function" {
                return Err(refuse(path.key("type"), "only function tools can be carried over"));
            }
            tools.push(function(&mut tool, path)?);
            rest_of(DIALECT, "tools[]", path, &tool)
        })?;
    }
    let choice = choice(fields, &mut tools)?;
    Ok((tools, choice))
}

/// A function is strict unless it says otherwise: the service then makes its schema strict where it
/// can. Other dialects refuse schemas that are not, so only those that are stay strict.
fn function(tool: &mut Fields<'_>, path: Path<'_>) -> Result<Tool, RequestError> {
    let schema = tool.take("parameters");
    let strict = match tool.take("strict") {
        Some(strict) => Some(boolean(&strict, path.key("strict"))?),
        None => schema.is_some_and(|schema| is_closed(&schema)).then_some(true),
    };
    Ok(Tool {
        name: need_text(tool, "name", path)?,
        description: optional_text(tool, "description", path)?,
        schema: schema.map(|schema| Json::from(&schema)),
        strict,
        cache: tool.take("cache_control").map(|cache| Json::from(&cache)),
    })
}

/// Whether every object of a schema forbids further members and requires its own.
fn is_closed(schema: &Value<'_>) -> bool {
    let declared = schema.get("properties");
    if schema.get("type").and_then(|kind| kind.text()).is_some_and(|kind| kind == "object") {
        let required = schema.get("required");
        let named = |key: &str| {
            required.iter().flat_map(Value::elements).any(|name| name.text().is_some_and(|name| name == key))
        };
        let closed = schema.get("additionalProperties").and_then(|more| more.bool()) == Some(false);
        if !closed || !declared.iter().flat_map(Value::members).all(|member| named(&member.key)) {
            return false;
        }
    }
    schema.members().all(|member| match &*member.key {
        "properties" | "$defs" | "definitions" => member.value.members().all(|part| is_closed(&part.value)),
        "anyOf" | "oneOf" | "allOf" => member.value.elements().all(|part| is_closed(&part)),
        "items" => is_closed(&member.value),
        _ => true,
    })
}

fn choice(fields: &mut Fields<'_>, tools: &mut Vec<Tool>) -> Result<Option<ToolChoice>, RequestError> {
    let path = Path::Root.key("tool_choice");
    let Some(value) = fields.take("tool_choice") else { return Ok(None) };
    if value.kind() == Kind::Text {
        return word(&value, path).map(Some);
    }
    let mut choice = Fields::read(&value, path)?;
    let found = match need_text(&mut choice, "type", path)?.as_str() {
        "function" => ToolChoice::Named(need_text(&mut choice, "name", path)?),
        "allowed_tools" => {
            let mode = need(&mut choice, "mode", path)?;
            let allowed = allowed(&need(&mut choice, "tools", path)?, path.key("tools"))?;
            tools.retain(|tool| allowed.contains(&tool.name));
            word(&mode, path.key("mode"))?
        }
        _ => return Err(refuse(path.key("type"), "only a function, or several, can be chosen")),
    };
    rest_of(DIALECT, "tool_choice", path, &choice)?;
    Ok(Some(found))
}

fn word(value: &Value<'_>, path: Path<'_>) -> Result<ToolChoice, RequestError> {
    match &*text(value, path)? {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Any),
        _ => Err(wrong(path, "auto, none, required or a function")),
    }
}

fn allowed(value: &Value<'_>, path: Path<'_>) -> Result<Vec<String>, RequestError> {
    let mut names = Vec::new();
    array(value, path, |tool, path| {
        let mut tool = Fields::read(&tool, path)?;
        if need_text(&mut tool, "type", path)? != "function" {
            return Err(refuse(path.key("type"), "only function tools can be carried over"));
        }
        names.push(need_text(&mut tool, "name", path)?);
        Ok(())
    })?;
    Ok(names)
}
