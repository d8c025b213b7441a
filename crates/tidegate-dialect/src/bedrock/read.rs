//! The body of Converse. Model and stream stand in the path.

use crate::RequestError;
use crate::json::Value;
use crate::read::{CallBody, Fields, Path, array, whole};

/// Members of `additionalModelRequestFields` that neither bill nor retain.
const KNOWN_ADDITIONAL: &[&str] =
    &["thinking", "reasoning_config", "reasoning_effort", "reasoningConfig", "top_k", "tool_choice"];

pub(super) fn read(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    // Streams of Bedrock always carry usage.
    call.asked_usage = true;
    if let Some(value) = body.get("inferenceConfig") {
        let path = root.key("inferenceConfig");
        if let Some(limit) = Fields::read(&value, path)?.get("maxTokens") {
            call.output_limit = Some(whole(&limit, path.key("maxTokens"))?);
        }
    }
    if let Some(value) = body.get("additionalModelRequestFields") {
        additional(&value, root.key("additionalModelRequestFields"), call)?;
    }
    if let Some(value) = body.get("outputConfig") {
        let config = Fields::read(&value, root.key("outputConfig"))?;
        call.needs.structured_output |= config.get("textFormat").is_some();
        call.input.text_bytes += value.raw().len() as u64;
    }
    if let Some(value) = body.get("promptVariables") {
        // They fill a prompt that lies elsewhere.
        if Fields::read(&value, root.key("promptVariables"))?.iter().next().is_some() {
            call.survey().unboundable(root.key("promptVariables"));
        }
    }
    call.input.tools += u64::from(call.needs.structured_output);
    if let Some(value) = body.get("system") {
        call.input.text_bytes += value.raw().len() as u64;
        array(&value, root.key("system"), |value, path| block(&value, path, call))?;
    }
    tools(body, call)?;
    messages(body, call)
}

fn additional(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    for member in Fields::read(value, path)?.iter().filter(|member| !member.value.is_null()) {
        let path = path.key(&member.key);
        if !KNOWN_ADDITIONAL.contains(&&*member.key) {
            call.survey().unregistered(path);
        }
        if matches!(&*member.key, "thinking" | "reasoning_config") {
            let thinking = Fields::read(&member.value, path)?;
            let kind = thinking.get("type").and_then(|kind| kind.text());
            call.needs.reasoning |= kind.is_some_and(|kind| kind != "disabled");
            if let Some(budget) = thinking.get("budget_tokens") {
                call.reasoning_budget = Some(whole(&budget, path.key("budget_tokens"))?);
            }
        }
    }
    Ok(())
}

fn tools(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let Some(value) = body.get("toolConfig") else { return Ok(()) };
    let path = Path::Root.key("toolConfig");
    call.input.text_bytes += value.raw().len() as u64;
    let Some(tools) = Fields::read(&value, path)?.get("tools") else { return Ok(()) };
    array(&tools, path.key("tools"), |tool, path| {
        let tool = Fields::read(&tool, path)?;
        for member in tool.iter().filter(|member| !member.value.is_null()) {
            let path = path.key(&member.key);
            match &*member.key {
                "toolSpec" => {
                    Fields::read(&member.value, path)?;
                    call.input.tools += 1;
                    call.needs.tools = true;
                }
                "systemTool" => {
                    call.input.tools += 1;
                    call.needs.tools = true;
                    let name = Fields::read(&member.value, path)?.get("name").and_then(|name| name.text());
                    call.survey().provider_tool(&name.unwrap_or_default(), path);
                }
                "cachePoint" => {}
                _ => call.survey().unregistered(path),
            }
        }
        Ok(())
    })
}

fn messages(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let path = Path::Root.key("messages");
    // A prompt that lies with the provider may be all that is said; it is not ours to know.
    let Some(value) = body.get("messages") else {
        call.survey().unboundable(path);
        return Ok(());
    };
    call.input.text_bytes += value.raw().len() as u64;
    array(&value, path, |message, path| {
        let fields = Fields::read(&message, path)?;
        call.input.messages += 1;
        for key in ["role", "content"] {
            if fields.get(key).is_none() {
                return Err(RequestError::Missing { path: path.key(key).to_string() });
            }
        }
        call.spots.note_echoes(&fields);
        let Some(content) = fields.get("content") else { return Ok(()) };
        array(&content, path.key("content"), |value, path| block(&value, path, call))
    })
}

fn block(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let block = Fields::read(value, path)?;
    for member in block.iter().filter(|member| !member.value.is_null()) {
        let (inner, path) = (&member.value, path.key(&member.key));
        match &*member.key {
            "text" | "json" | "toolUse" | "reasoningContent" | "cachePoint" | "citationsContent"
            | "searchResult" | "toolAddition" | "toolRemoval" => {}
            "image" => {
                let image = Fields::read(inner, path)?;
                call.survey().image(image.get("source"));
            }
            "document" => document(inner, path, call)?,
            "audio" | "video" => {
                let mut survey = call.survey();
                survey.payload(Some(*inner));
                survey.unboundable(path);
            }
            "guardContent" => {
                if inner.get("image").is_some() {
                    call.survey().image(inner.get("image"));
                }
            }
            "toolResult" => {
                if let Some(content) = Fields::read(inner, path)?.get("content") {
                    array(&content, path.key("content"), |value, path| self::block(&value, path, call))?;
                }
            }
            _ => call.survey().unregistered(path),
        }
    }
    Ok(())
}

/// Only a document of plain text has its size in the body.
fn document(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let source = Fields::read(value, path)?.get("source");
    let plain = source.is_some_and(|source| source.get("text").is_some() || source.get("content").is_some());
    if !plain {
        let mut survey = call.survey();
        survey.payload(source);
        survey.unboundable(path);
    }
    Ok(())
}
