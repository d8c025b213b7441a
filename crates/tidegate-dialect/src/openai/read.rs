//! The OpenAI chat completions body.

use crate::json::Value;
use crate::read::{CallBody, Fields, Labels, Path, array, boolean, parts, text, whole, wrong};
use crate::{Content, RequestError};

pub(super) fn read(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    for key in ["max_tokens", "max_completion_tokens"] {
        if let Some(value) = body.get(key) {
            let limit = whole(&value, root.key(key))?;
            call.output_limit = Some(call.output_limit.map_or(limit, |other| other.min(limit)));
        }
    }
    if let Some(value) = body.get("n") {
        call.answers = whole(&value, root.key("n"))?;
        if !(1..=128).contains(&call.answers) {
            return Err(wrong(root.key("n"), "from 1 to 128"));
        }
    }
    if let Some(value) = body.get("stream_options") {
        let path = root.key("stream_options");
        if let Some(asked) = Fields::read(&value, path)?.get("include_usage") {
            call.asked_usage = boolean(&asked, path.key("include_usage"))?;
        }
    }
    if let Some(value) = body.get("response_format") {
        let path = root.key("response_format");
        let kind = Fields::read(&value, path)?.get("type");
        let kind = kind.ok_or_else(|| RequestError::Missing { path: path.key("type").to_string() })?;
        call.needs.structured_output = text(&kind, path.key("type"))? != "text";
        call.input.tools += u64::from(call.needs.structured_output);
    }
    if let Some(value) = body.get("reasoning_effort") {
        call.needs.reasoning = !matches!(&*text(&value, root.key("reasoning_effort"))?, "none" | "minimal");
    }
    labels(body, &mut call.labels)?;
    tools(body, call)?;
    messages(body, call)
}

pub(crate) fn labels(body: &Fields<'_>, labels: &mut Labels) -> Result<(), RequestError> {
    for key in ["safety_identifier", "user"] {
        if let Some(value) = body.get(key) {
            let user = text(&value, Path::Root.key(key))?;
            labels.user.get_or_insert_with(|| Content::new(user));
        }
    }
    if let Some(value) = body.get("metadata") {
        let path = Path::Root.key("metadata");
        for member in Fields::read(&value, path)?.iter() {
            let value = text(&member.value, path.key(&member.key))?;
            labels.metadata.push((Content::new(&*member.key), Content::new(value)));
        }
    }
    Ok(())
}

fn tools(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    if body.get("web_search_options").is_some() {
        call.input.most.searches = call.input.most.searches.max(1);
        call.survey().feature("web_search_options");
    }
    for key in ["tools", "functions"] {
        let Some(value) = body.get(key) else { continue };
        call.input.text_bytes += value.raw().len() as u64;
        array(&value, Path::Root.key(key), |tool, path| {
            let tool = Fields::read(&tool, path)?;
            call.input.tools += 1;
            call.needs.tools = true;
            if let Some(function) = tool.get("function") {
                Fields::read(&function, path.key("function"))?;
            }
            if let Some(kind) = tool.get("type") {
                let kind = text(&kind, path.key("type"))?;
                if !matches!(&*kind, "function" | "custom") {
                    call.survey().provider_tool(&kind, path.key("type"));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn messages(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let path = Path::Root.key("messages");
    let value = body.get("messages").ok_or_else(|| RequestError::Missing { path: path.to_string() })?;
    call.input.text_bytes += value.raw().len() as u64;
    if let Some(format) = body.get("response_format") {
        call.input.text_bytes += format.raw().len() as u64;
    }
    array(&value, path, |message, path| {
        let fields = Fields::read(&message, path)?;
        call.input.messages += 1;
        let role =
            fields.get("role").ok_or_else(|| RequestError::Missing { path: path.key("role").to_string() })?;
        text(&role, path.key("role"))?;
        call.spots.note_echoes(&fields);
        if fields.get("audio").is_some() {
            call.survey().unboundable(path.key("audio"));
        }
        if let Some(calls) = fields.get("tool_calls") {
            array(&calls, path.key("tool_calls"), |tool_call, path| {
                let tool_call = Fields::read(&tool_call, path)?;
                tool_call
                    .get("function")
                    .map_or(Ok(()), |function| Fields::read(&function, path.key("function")).map(|_| ()))
            })?;
        }
        parts(fields.get("content"), path.key("content"), |value, path| part(&value, path, call))
    })
}

fn part(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let part = Fields::read(value, path)?;
    let kind =
        part.get("type").ok_or_else(|| RequestError::Missing { path: path.key("type").to_string() })?;
    let mut survey = call.survey();
    match &*text(&kind, path.key("type"))? {
        "text" | "refusal" => {}
        "image_url" => {
            let image = part.get("image_url");
            let url = image.and_then(|image| image.get("url"));
            if let Some(image) = image {
                Fields::read(&image, path.key("image_url"))?;
            }
            survey.image(url);
        }
        "input_audio" | "file" => {
            survey.payload(Some(*value));
            survey.unboundable(path);
        }
        _ => survey.unregistered(path.key("type")),
    }
    Ok(())
}
