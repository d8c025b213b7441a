//! The responses body.

use crate::RequestError;
use crate::json::{Kind, Value};
use crate::openai::read::labels;
use crate::read::{CallBody, Fields, Finding, FindingKind, Path, array, parts, removals, text, whole, wrong};

/// Tools that the client runs itself, or that are only declared. All others bill.
const CLIENT_RUN: &[&str] = &["function", "custom", "local_shell", "apply_patch", "namespace"];

/// Items that are wholly in the body: calls and results of tools, and reasoning.
const IN_THE_BODY: &[&str] = &[
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "computer_call",
    "custom_tool_call",
    "file_search_call",
    "function_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "shell_call",
    "shell_call_output",
    "web_search_call",
];

pub(super) fn read(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    // Streams always carry usage.
    call.asked_usage = true;
    advice(body, call)?;
    if let Some(value) = body.get("max_output_tokens") {
        call.output_limit = Some(whole(&value, root.key("max_output_tokens"))?);
    }
    if let Some(value) = body.get("text") {
        let config = Fields::read(&value, root.key("text"))?;
        if let Some(format) = config.get("format") {
            let path = root.key("text");
            let path = path.key("format");
            let kind = need(&Fields::read(&format, path)?, "type", path)?;
            call.needs.structured_output = text(&kind, path.key("type"))? != "text";
            call.input.tools += u64::from(call.needs.structured_output);
            call.input.text_bytes += format.raw().len() as u64;
        }
    }
    reasoning(body, call)?;
    labels(body, &mut call.labels)?;
    for kept in ["previous_response_id", "conversation", "prompt"] {
        if body.get(kept).is_some() {
            call.survey().unboundable(root.key(kept));
        }
    }
    if let Some(value) = body.get("instructions") {
        call.input.text_bytes += value.raw().len() as u64;
        text(&value, root.key("instructions"))?;
    }
    tools(body, call)?;
    input(body, call)
}

/// Advice on caching, for which there is no use: checked, and answered with a warning.
fn advice(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    if let Some(value) = body.get("cache_ttl") {
        if !matches!(&*text(&value, root.key("cache_ttl"))?, "5m" | "1h") {
            return Err(wrong(root.key("cache_ttl"), "5m or 1h"));
        }
        call.gateway.unknown.push("cache_ttl".to_owned());
    }
    if let Some(value) = body.get("cache_anchor_items") {
        whole(&value, root.key("cache_anchor_items"))?;
        call.gateway.unknown.push("cache_anchor_items".to_owned());
    }
    Ok(())
}

fn reasoning(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let Some(value) = body.get("reasoning") else { return Ok(()) };
    let path = Path::Root.key("reasoning");
    let reasoning = Fields::read(&value, path)?;
    if let Some(effort) = reasoning.get("effort") {
        call.needs.reasoning = !matches!(&*text(&effort, path.key("effort"))?, "none" | "minimal");
    }
    if reasoning.get("mode").is_some_and(|mode| mode.raw() != br#""standard""#) {
        call.survey().bills(path.key("mode"));
    }
    Ok(())
}

fn need<'a>(fields: &Fields<'a>, key: &str, path: Path<'_>) -> Result<Value<'a>, RequestError> {
    fields.get(key).ok_or_else(|| RequestError::Missing { path: path.key(key).to_string() })
}

fn tools(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let Some(value) = body.get("tools") else { return Ok(()) };
    call.input.text_bytes += value.raw().len() as u64;
    array(&value, Path::Root.key("tools"), |tool, path| {
        let tool = Fields::read(&tool, path)?;
        call.input.tools += 1;
        call.needs.tools = true;
        let kind = need(&tool, "type", path)?;
        let kind = text(&kind, path.key("type"))?;
        if !CLIENT_RUN.contains(&&*kind) {
            call.survey().provider_tool(&kind, path.key("type"));
        }
        Ok(())
    })
}

fn input(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let path = Path::Root.key("input");
    // Without input a stored prompt or conversation must say what to do.
    let kept = ["prompt", "conversation", "previous_response_id"].iter().any(|key| body.get(key).is_some());
    let Some(value) = body.get("input") else {
        return if kept { Ok(()) } else { Err(RequestError::Missing { path: path.to_string() }) };
    };
    call.input.text_bytes += value.raw().len() as u64;
    if value.kind() == Kind::Text {
        call.input.messages += 1;
        return text(&value, path).map(|_| ());
    }
    let mut items = Vec::new();
    array(&value, path, |value, path| {
        call.input.messages += 1;
        let span = value.span();
        items.push((foreign(&value), span.start, span.end));
        item(&value, path, call)
    })?;
    call.spots.echoes.extend(removals(&items));
    Ok(())
}

/// Reasoning of another provider, which answers of ours carry and this one would refuse.
fn foreign(item: &Value<'_>) -> bool {
    let text = |key: &str| item.get(key).and_then(|value| value.text());
    if text("type").is_none_or(|kind| kind != "reasoning") {
        return false;
    }
    match text("encrypted_content").filter(|sealed| !sealed.is_empty()) {
        Some(sealed) => super::sealed::is_foreign(&sealed),
        None => text("id").is_some_and(|id| super::sealed::is_ours(&id)),
    }
}

fn item(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let item = Fields::read(value, path)?;
    call.spots.note_echoes(&item);
    let kind = match item.get("type") {
        Some(kind) => text(&kind, path.key("type"))?,
        None if item.get("role").is_some() => "message".into(),
        None => "item_reference".into(),
    };
    match &*kind {
        "message" => {
            text(&need(&item, "role", path)?, path.key("role"))?;
            parts(item.get("content"), path.key("content"), |value, path| part(&value, path, call))
        }
        "function_call_output" | "custom_tool_call_output" => {
            parts(item.get("output"), path.key("output"), |value, path| part(&value, path, call))
        }
        "reasoning" => {
            for key in ["summary", "content"] {
                if let Some(value) = item.get(key) {
                    array(&value, path.key(key), |part, path| Fields::read(&part, path).map(|_| ()))?;
                }
            }
            Ok(())
        }
        "computer_call_output" => {
            let output = need(&item, "output", path)?;
            let path = path.key("output");
            image(&Fields::read(&output, path)?, path, call);
            Ok(())
        }
        "item_reference" => {
            retains(path, call);
            call.survey().unboundable(path);
            Ok(())
        }
        "image_generation_call" | "compaction" => {
            call.survey().payload(Some(*value));
            call.survey().unboundable(path);
            Ok(())
        }
        kind if IN_THE_BODY.contains(&kind) => Ok(()),
        _ => {
            call.survey().unregistered(path.key("type"));
            Ok(())
        }
    }
}

/// Something that the provider keeps.
fn retains(path: Path<'_>, call: &mut CallBody) {
    call.findings.push(Finding { path: path.to_string(), kind: FindingKind::Retains });
}

fn image(part: &Fields<'_>, path: Path<'_>, call: &mut CallBody) {
    call.survey().image(part.get("image_url"));
    if part.get("file_id").is_some() {
        retains(path.key("file_id"), call);
    }
}

fn part(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let part = Fields::read(value, path)?;
    let kind = need(&part, "type", path)?;
    match &*text(&kind, path.key("type"))? {
        "input_text" | "output_text" | "refusal" | "text" => {}
        "input_image" => image(&part, path, call),
        "input_file" => {
            call.survey().payload(part.get("file_data"));
            call.survey().unboundable(path);
            if part.get("file_id").is_some() {
                retains(path.key("file_id"), call);
            }
        }
        "input_audio" => {
            call.survey().payload(Some(*value));
            call.survey().unboundable(path);
        }
        _ => call.survey().unregistered(path.key("type")),
    }
    Ok(())
}
