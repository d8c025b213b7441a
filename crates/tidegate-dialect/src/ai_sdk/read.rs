//! Facts of the AI SDK's body: limits, needs, size of the input.

use crate::RequestError;
use crate::json::{Kind, Value};
use crate::read::{CallBody, Fields, Path, array, parts, text, whole};

pub(super) fn read(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    // The finish always carries usage.
    call.asked_usage = true;
    if let Some(value) = body.get("maxOutputTokens") {
        call.output_limit = Some(whole(&value, root.key("maxOutputTokens"))?);
    }
    if let Some(value) = body.get("headers") {
        Fields::read(&value, root.key("headers"))?;
    }
    if let Some(value) = body.get("reasoning") {
        let effort = text(&value, root.key("reasoning"))?;
        call.needs.reasoning = !matches!(&*effort, "provider-default" | "none" | "minimal");
    }
    if let Some(value) = body.get("responseFormat") {
        let path = root.key("responseFormat");
        let kind = need(&Fields::read(&value, path)?, "type", path)?;
        call.needs.structured_output = text(&kind, path.key("type"))? != "text";
        call.input.tools += u64::from(call.needs.structured_output);
        call.input.text_bytes += value.raw().len() as u64;
    }
    budgets(body, call)?;
    tools(body, call)?;
    prompt(body, call)
}

fn need<'a>(fields: &Fields<'a>, key: &str, path: Path<'_>) -> Result<Value<'a>, RequestError> {
    fields.get(key).ok_or_else(|| RequestError::Missing { path: path.key(key).to_string() })
}

/// The largest budget of reasoning tokens among the options for providers: any of them may be asked.
fn budgets(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    const PLACES: [(&str, &str); 5] = [
        ("thinking", "budgetTokens"),
        ("thinking", "tokenBudget"),
        ("thinkingConfig", "thinkingBudget"),
        ("reasoningConfig", "budgetTokens"),
        ("reasoningConfig", "budget_tokens"),
    ];
    let Some(options) = body.get("providerOptions") else { return Ok(()) };
    let path = Path::Root.key("providerOptions");
    for member in Fields::read(&options, path)?.iter().filter(|member| !member.value.is_null()) {
        let fields = Fields::read(&member.value, path.key(&member.key))?;
        for (outer, inner) in PLACES {
            let budget = fields.get(outer).and_then(|value| value.get(inner)).and_then(|value| value.whole());
            call.reasoning_budget = call.reasoning_budget.max(budget);
        }
    }
    Ok(())
}

fn tools(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let Some(value) = body.get("tools") else { return Ok(()) };
    call.input.text_bytes += value.raw().len() as u64;
    array(&value, Path::Root.key("tools"), |tool, path| {
        let tool = Fields::read(&tool, path)?;
        let kind = need(&tool, "type", path)?;
        call.input.tools += 1;
        call.needs.tools = true;
        if text(&kind, path.key("type"))? != "function" {
            let id = tool.get("id").and_then(|id| id.text()).unwrap_or_default();
            call.survey().provider_tool(&id, path.key("type"));
        }
        Ok(())
    })
}

fn prompt(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let path = Path::Root.key("prompt");
    let value = need(body, "prompt", Path::Root)?;
    call.input.text_bytes += value.raw().len() as u64;
    array(&value, path, |message, path| {
        let fields = Fields::read(&message, path)?;
        call.input.messages += 1;
        text(&need(&fields, "role", path)?, path.key("role"))?;
        parts(fields.get("content"), path.key("content"), |value, path| part(&value, path, call))
    })
}

fn part(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let part = Fields::read(value, path)?;
    match &*text(&need(&part, "type", path)?, path.key("type"))? {
        "text" | "reasoning" | "tool-call" | "tool-approval-response" => {}
        "file" | "reasoning-file" => {
            let data = need(&part, "data", path)?;
            file(&data, part.get("mediaType"), path, call)?;
        }
        "tool-result" => {
            let output = need(&part, "output", path)?;
            let path = path.key("output");
            let output = Fields::read(&output, path)?;
            let value = output.get("value").filter(|value| value.kind() == Kind::Array);
            let content = output.get("type").is_some_and(|kind| kind.text().as_deref() == Some("content"));
            if let (true, Some(value)) = (content, value) {
                return array(&value, path.key("value"), |value, path| result_part(&value, path, call));
            }
        }
        _ => call.survey().unregistered(path.key("type")),
    }
    Ok(())
}

/// A part of a tool's result.
fn result_part(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let part = Fields::read(value, path)?;
    let kind = need(&part, "type", path)?;
    match &*text(&kind, path.key("type"))? {
        "text" => Ok(()),
        "image-data" | "image-url" => {
            call.survey().image(part.get("data").or_else(|| part.get("url")));
            Ok(())
        }
        "media" | "file" | "file-data" | "file-url" => {
            let data = part.get("data").or_else(|| part.get("url"));
            let data = data.ok_or_else(|| RequestError::Missing { path: path.key("data").to_string() })?;
            file(&data, part.get("mediaType"), path, call)
        }
        _ => {
            call.survey().unregistered(path.key("type"));
            Ok(())
        }
    }
}

fn file(
    data: &Value<'_>,
    media_type: Option<Value<'_>>,
    path: Path<'_>,
    call: &mut CallBody,
) -> Result<(), RequestError> {
    if data.kind() == Kind::Object {
        let tagged = Fields::read(data, path.key("data"))?;
        if tagged.get("type").is_some_and(|kind| kind.text().as_deref() == Some("text")) {
            return Ok(());
        }
    }
    let media_type = media_type.and_then(|value| value.text());
    let mut survey = call.survey();
    if media_type.is_some_and(|kind| kind == "image" || kind.starts_with("image/")) {
        survey.image(Some(*data));
    } else {
        survey.payload(Some(*data));
        survey.unboundable(path);
    }
    Ok(())
}
