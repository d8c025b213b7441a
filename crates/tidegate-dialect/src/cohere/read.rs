//! The body of Cohere's chat.

use crate::RequestError;
use crate::json::Value;
use crate::read::{CallBody, Fields, Path, array, parts, text, whole};

pub(super) fn read(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    // Streams of Cohere always carry usage.
    call.asked_usage = true;
    if let Some(value) = body.get("max_tokens") {
        call.output_limit = Some(whole(&value, root.key("max_tokens"))?);
    }
    if let Some(value) = body.get("thinking") {
        let path = root.key("thinking");
        let thinking = Fields::read(&value, path)?;
        let kind = thinking.get("type").and_then(|kind| kind.text());
        call.needs.reasoning = kind.is_some_and(|kind| kind != "disabled");
        if let Some(budget) = thinking.get("token_budget") {
            call.reasoning_budget = Some(whole(&budget, path.key("token_budget"))?);
        }
    }
    if let Some(value) = body.get("response_format") {
        let path = root.key("response_format");
        let kind = Fields::read(&value, path)?.get("type").and_then(|kind| kind.text());
        call.needs.structured_output = kind.is_some_and(|kind| kind != "text");
        call.input.text_bytes += value.raw().len() as u64;
    }
    if let Some(value) = body.get("documents") {
        call.input.text_bytes += value.raw().len() as u64;
        array(&value, root.key("documents"), |_, _| {
            call.input.messages += 1;
            Ok(())
        })?;
    }
    if let Some(value) = body.get("tools") {
        call.input.text_bytes += value.raw().len() as u64;
        array(&value, root.key("tools"), |tool, path| {
            let tool = Fields::read(&tool, path)?;
            call.input.tools += 1;
            call.needs.tools = true;
            if tool.get("type").and_then(|kind| kind.text()).as_deref() != Some("function") {
                call.survey().unregistered(path.key("type"));
            }
            Ok(())
        })?;
    }
    call.input.tools += u64::from(call.needs.structured_output);
    messages(body, call)
}

fn messages(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let path = Path::Root.key("messages");
    let value = body.get("messages").ok_or_else(|| RequestError::Missing { path: path.to_string() })?;
    call.input.text_bytes += value.raw().len() as u64;
    array(&value, path, |message, path| {
        let fields = Fields::read(&message, path)?;
        call.input.messages += 1;
        let role =
            fields.get("role").ok_or_else(|| RequestError::Missing { path: path.key("role").to_string() })?;
        text(&role, path.key("role"))?;
        call.spots.note_echoes(&fields);
        if let Some(calls) = fields.get("tool_calls") {
            array(&calls, path.key("tool_calls"), |call, path| Fields::read(&call, path).map(drop))?;
        }
        parts(fields.get("content"), path.key("content"), |value, path| part(&value, path, call))
    })
}

fn part(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let part = Fields::read(value, path)?;
    let kind =
        part.get("type").ok_or_else(|| RequestError::Missing { path: path.key("type").to_string() })?;
    match &*text(&kind, path.key("type"))? {
        "text" | "thinking" | "document" => {}
        "image_url" => call.survey().image(part.get("image_url")),
        _ => call.survey().unregistered(path.key("type")),
    }
    Ok(())
}
