//! Tools of Gemini's requests and how they are chosen, into the one form.

use super::names::{self, each, read, rest_of, take};
use super::schema;
use crate::canonical::{Call, Json, Tool, ToolChoice};
use crate::decode::refuse;
use crate::read::{Fields, Path, texts, wrong};
use crate::{Content, RequestError};

/// Takes `tools` and `toolConfig` out of the body.
pub(super) fn decode(body: &mut Fields<'_>, call: &mut Call) -> Result<(), RequestError> {
    let root = Path::Root;
    if let Some(value) = take(body, "tools") {
        each(&value, root.key("tools"), |tool, path| {
            let mut tool = read(&tool, path)?;
            if let Some(functions) = take(&mut tool, "functionDeclarations") {
                each(&functions, path.key("functionDeclarations"), |value, path| {
                    let mut function = read(&value, path)?;
                    call.tools.push(declaration(&mut function, path)?);
                    rest_of("tools[].functionDeclarations[]", path, &function)
                })?;
            }
            match tool.iter().find(|member| !member.value.is_null()) {
                Some(other) => Err(refuse(path.key(&other.key), "a tool that the provider defines or runs")),
                None => Ok(()),
            }
        })?;
    }
    if let Some(value) = take(body, "toolConfig") {
        let path = root.key("toolConfig");
        let mut config = read(&value, path)?;
        if let Some(value) = take(&mut config, "functionCallingConfig") {
            let path = path.key("functionCallingConfig");
            let mut calling = read(&value, path)?;
            choice(&mut calling, path, call)?;
            rest_of("toolConfig.functionCallingConfig", path, &calling)?;
        }
        rest_of("toolConfig", path, &config)?;
    }
    Ok(())
}

fn declaration(function: &mut Fields<'_>, path: Path<'_>) -> Result<Tool, RequestError> {
    let schema = match (take(function, "parametersJsonSchema"), take(function, "parameters")) {
        (Some(schema), None) => Some(Json::from(&schema)),
        (None, Some(schema)) => Some(schema::to_json_schema(&schema, path.key("parameters"))?),
        (None, None) => None,
        (Some(_), Some(_)) => {
            return Err(wrong(path.key("parameters"), "absent beside parametersJsonSchema"));
        }
    };
    Ok(Tool {
        name: names::need_text(function, "name", path)?,
        description: names::text(function, "description", path)?.map(Content::new),
        schema,
        strict: None,
        cache: None,
    })
}

fn choice(calling: &mut Fields<'_>, path: Path<'_>, call: &mut Call) -> Result<(), RequestError> {
    let names = take(calling, "allowedFunctionNames");
    let names = names.map_or(Ok(Vec::new()), |names| texts(&names, path.key("allowedFunctionNames")))?;
    let mode = names::text(calling, "mode", path)?;
    let choice = match mode.as_deref() {
        None | Some("MODE_UNSPECIFIED") => return Ok(()),
        // Validated calls are the other providers' ordinary ones.
        Some("AUTO" | "VALIDATED") => ToolChoice::Auto,
        Some("NONE") => ToolChoice::None,
        Some("ANY") => match names.as_slice() {
            [only] => ToolChoice::Named(only.clone()),
            _ => ToolChoice::Any,
        },
        Some(_) => return Err(wrong(path.key("mode"), "AUTO, ANY, NONE or VALIDATED")),
    };
    // A choice among several functions is a choice among those that are declared.
    if names.len() > 1 || (!names.is_empty() && choice == ToolChoice::Auto) {
        call.tools.retain(|tool| names.contains(&tool.name));
    }
    call.tool_choice = Some(choice);
    Ok(())
}
