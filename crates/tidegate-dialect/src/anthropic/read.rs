//! The Anthropic messages body.

use memchr::memmem;

use crate::canonical::signature::{ANTHROPIC, maker};
use crate::json::{Kind, Value};
use crate::read::{CallBody, Fields, Path, array, parts, removals, text, whole};
use crate::{Content, RequestError};

/// Tools that the client runs itself although the provider defines them.
const CLIENT_RUN: &[&str] = &["bash_", "text_editor_", "computer_", "memory_", "browser_"];

pub(super) fn read(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    // Anthropic's streams always carry usage.
    call.asked_usage = true;
    if let Some(value) = body.get("max_tokens") {
        call.output_limit = Some(whole(&value, root.key("max_tokens"))?);
    }
    if let Some(value) = body.get("metadata") {
        let path = root.key("metadata");
        if let Some(user) = Fields::read(&value, path)?.get("user_id") {
            let user = text(&user, path.key("user_id"))?;
            call.labels.user.get_or_insert_with(|| Content::new(user));
        }
    }
    if let Some(value) = body.get("thinking") {
        thinking(&value, root.key("thinking"), call)?;
    }
    if let Some(value) = body.get("output_config") {
        let config = Fields::read(&value, root.key("output_config"))?;
        call.needs.structured_output |= config.get("format").is_some();
        call.input.text_bytes += value.raw().len() as u64;
    }
    if let Some(value) = body.get("output_format") {
        Fields::read(&value, root.key("output_format"))?;
        call.needs.structured_output = true;
        call.input.text_bytes += value.raw().len() as u64;
    }
    if let Some(value) = body.get("system") {
        call.input.text_bytes += value.raw().len() as u64;
        parts(Some(value), root.key("system"), |value, path| block(&value, path, call))?;
    }
    call.input.tools += u64::from(call.needs.structured_output);
    tools(body, call)?;
    messages(body, call)
}

fn thinking(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let thinking = Fields::read(value, path)?;
    let kind =
        thinking.get("type").ok_or_else(|| RequestError::Missing { path: path.key("type").to_string() })?;
    call.needs.reasoning = text(&kind, path.key("type"))? != "disabled";
    if let Some(budget) = thinking.get("budget_tokens") {
        call.reasoning_budget = Some(whole(&budget, path.key("budget_tokens"))?);
    }
    Ok(())
}

fn tools(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let Some(value) = body.get("tools") else { return Ok(()) };
    call.input.text_bytes += value.raw().len() as u64;
    array(&value, Path::Root.key("tools"), |tool, path| {
        let tool = Fields::read(&tool, path)?;
        call.input.tools += 1;
        call.needs.tools = true;
        if let Some(kind) = tool.get("type") {
            let kind = text(&kind, path.key("type"))?;
            if kind != "custom" && !CLIENT_RUN.iter().any(|prefix| kind.starts_with(prefix)) {
                call.survey().provider_tool(&kind, path.key("type"));
            }
        }
        Ok(())
    })
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
        if memmem::find(message.raw(), br#""thinking""#).is_some() {
            fields.get("content").iter().for_each(|content| take_out_foreign(content, call));
        }
        parts(fields.get("content"), path.key("content"), |value, path| block(&value, path, call))
    })
}

/// Thoughts that other providers signed, which answers of ours carry and this one would refuse.
fn take_out_foreign(content: &Value<'_>, call: &mut CallBody) {
    let foreign = |block: &Value<'_>| {
        let signed = block.get("signature").and_then(|signature| signature.text());
        signed.is_some_and(|signed| maker(&signed).0 != ANTHROPIC)
    };
    let blocks: Vec<_> =
        content.elements().map(|block| (foreign(&block), block.span().start, block.span().end)).collect();
    call.spots.echoes.extend(removals(&blocks));
}

fn block(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let block = Fields::read(value, path)?;
    let kind =
        block.get("type").ok_or_else(|| RequestError::Missing { path: path.key("type").to_string() })?;
    let source = block.get("source");
    if let Some(source) = source
        && source.kind() != Kind::Text
    {
        Fields::read(&source, path.key("source"))?;
    }
    match &*text(&kind, path.key("type"))? {
        "text" | "thinking" | "redacted_thinking" | "tool_use" | "server_tool_use" => {}
        "image" => call.survey().image(source),
        "document" => document(source, path.key("source"), call),
        "tool_result" | "search_result" | "mid_conv_system" => {
            return parts(block.get("content"), path.key("content"), |value, path| {
                self::block(&value, path, call)
            });
        }
        // Results of tools that the server ran in an earlier turn; their content is in the body.
        kind if kind.ends_with("_tool_result") => {}
        _ => call.survey().unregistered(path.key("type")),
    }
    Ok(())
}

/// Only a document of plain text has its size in the body.
fn document(source: Option<Value<'_>>, path: Path<'_>, call: &mut CallBody) {
    let kind = source.and_then(|source| source.get("type")).and_then(|kind| kind.text());
    if kind.as_deref() != Some("text") {
        let mut survey = call.survey();
        survey.payload(source);
        survey.unboundable(path);
    }
}
