//! Validates a chat completions request as strictly as the real service does.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::tools::{read_format, read_tools};
use crate::ask::{Ask, Invalid, count, only_known, ranged, text};

const TOP: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "user",
    "seed",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "metadata",
    "store",
    "service_tier",
    "modalities",
    "audio",
    "prediction",
    "verbosity",
    "prompt_cache_key",
    "safety_identifier",
    "functions",
    "function_call",
    "web_search_options",
    "prompt_cache_retention",
    "prompt_cache_options",
    "moderation",
];

const MESSAGE: &[&str] = &[
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "audio",
    "function_call",
    "annotations",
    "reasoning_content",
];

/// Reads the request, or says what a real service would say.
pub(crate) fn read(body: &Value) -> Result<Ask, Invalid> {
    let object = body
        .as_object()
        .ok_or_else(|| Invalid::new("We could not parse the JSON body of your request.", "body"))?;
    only_known(object, TOP, "")?;
    let mut ask = Ask {
        model: text(object.get("model"), "model")?.to_owned(),
        n: 1,
        caches_itself: true,
        ..Ask::default()
    };
    read_messages(object, &mut ask)?;
    read_limits(object, &mut ask)?;
    read_tools(object, &mut ask)?;
    read_format(object, &mut ask)?;
    read_logprobs(object, &mut ask)?;
    if let Some(options) = object.get("web_search_options").filter(|options| !options.is_null()) {
        let members = options.as_object();
        let members = members
            .ok_or_else(|| Invalid::new("'web_search_options' must be an object.", "web_search_options"))?;
        only_known(members, &["search_context_size", "user_location"], "web_search_options")?;
        ask.searches = 1;
    }
    ask.stream = flag(object.get("stream"), "stream")?;
    if let Some(options) = object.get("stream_options").filter(|options| !options.is_null()) {
        if !ask.stream {
            let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(Invalid::new(message, "stream_options"));
        }
        ask.include_usage = flag(options.get("include_usage"), "stream_options.include_usage")?;
    }
    Ok(ask)
}

fn read_logprobs(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let asked = flag(object.get("logprobs"), "logprobs")?;
    let top = count(object.get("top_logprobs"), 0, "top_logprobs")?;
    if top.is_some_and(|top| top > 20) {
        return Err(Invalid::new(
            "Invalid value for 'top_logprobs': must be less than or equal to 20.",
            "top_logprobs",
        ));
    }
    if top.is_some() && !asked {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(Invalid::new(message, "top_logprobs"));
    }
    ask.logprobs = asked.then_some(top.unwrap_or(0));
    Ok(())
}

fn flag(value: Option<&Value>, at: &str) -> Result<bool, Invalid> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Invalid::new(format!("'{at}' must be a boolean."), at)),
    }
}

fn read_messages(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let messages = object
        .get("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| Invalid::new("'messages' must be a non-empty array.", "messages"))?;
    let mut open: HashSet<String> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        let members =
            message.as_object().ok_or_else(|| Invalid::new(format!("'{at}' must be an object."), &*at))?;
        only_known(members, MESSAGE, &at)?;
        let role = text(members.get("role"), &format!("{at}.role"))?;
        if role != "tool" && !open.is_empty() {
            let message = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.";
            return Err(Invalid::new(message, at));
        }
        let content = read_content(members.get("content"), &format!("{at}.content"), &mut ask.images)?;
        match role {
            "system" | "developer" | "user" | "function" => {}
            "assistant" => read_tool_calls(members, &at, &mut open, ask)?,
            "tool" => {
                let id = text(members.get("tool_call_id"), &format!("{at}.tool_call_id"))?;
                if !open.remove(id) {
                    let message = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
                    return Err(Invalid::new(message, format!("{at}.role")));
                }
            }
            other => {
                let message = format!(
                    "Invalid value: '{other}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
                );
                return Err(Invalid::new(message, format!("{at}.role")));
            }
        }
        if role != "assistant" && members.get("content").is_none_or(Value::is_null) {
            return Err(Invalid::new(format!("'{at}.content' is required."), format!("{at}.content")));
        }
        ask.tool_result = (role == "tool").then(|| content.clone());
        ask.last_text.clone_from(&content);
        ask.input.push(content);
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(Invalid::new("An assistant message with 'tool_calls' must be followed by tool messages.", "messages"))
}

fn read_tool_calls(
    members: &Map<String, Value>,
    at: &str,
    open: &mut HashSet<String>,
    ask: &mut Ask,
) -> Result<(), Invalid> {
    let calls = members.get("tool_calls").and_then(Value::as_array);
    if calls.is_none_or(Vec::is_empty) && members.get("content").is_none_or(Value::is_null) {
        return Err(Invalid::new(format!("'{at}' must have content or tool_calls."), at));
    }
    for call in calls.into_iter().flatten() {
        open.insert(text(call.get("id"), &format!("{at}.tool_calls.id"))?.to_owned());
        let name = text(call.pointer("/function/name"), &format!("{at}.tool_calls.function.name"))?;
        let arguments =
            text(call.pointer("/function/arguments"), &format!("{at}.tool_calls.function.arguments"))?;
        ask.input.push(format!("{name}{arguments}"));
    }
    Ok(())
}

fn read_image(part: &Value, at: &str) -> Result<(), Invalid> {
    let at = format!("{at}.image_url.url");
    let url = text(part.pointer("/image_url/url"), &at)?;
    if url.starts_with("http") || (url.starts_with("data:image/") && url.contains(";base64,")) {
        return Ok(());
    }
    let message = format!("Invalid '{at}'. Expected a valid URL or a base64-encoded data URL.");
    Err(Invalid { code: Some("invalid_image_url"), ..Invalid::new(message, at) })
}

/// Text of a message's content; images are counted.
fn read_content(content: Option<&Value>, at: &str, images: &mut u64) -> Result<String, Invalid> {
    match content {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let mut out = String::new();
            for part in parts {
                match part.get("type").and_then(Value::as_str) {
                    Some("text") => out.push_str(text(part.get("text"), &format!("{at}.text"))?),
                    Some("refusal" | "input_audio" | "file") => {}
                    Some("image_url") => {
                        read_image(part, at)?;
                        *images += 1;
                    }
                    other => {
                        let message = format!("Invalid value: '{}' at '{at}.type'.", other.unwrap_or("null"));
                        return Err(Invalid::new(message, at));
                    }
                }
            }
            Ok(out)
        }
        Some(_) => Err(Invalid::new(format!("'{at}' must be a string or an array of parts."), at)),
    }
}

fn read_limits(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let old = count(object.get("max_tokens"), 1, "max_tokens")?;
    let new = count(object.get("max_completion_tokens"), 1, "max_completion_tokens")?;
    if old.is_some() && new.is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Invalid::new(message, "max_tokens"));
    }
    ask.limit = new.or(old);
    ask.n = count(object.get("n"), 1, "n")?.unwrap_or(1).min(128);
    ranged(object.get("temperature"), 0.0, 2.0, "temperature")?;
    ranged(object.get("top_p"), 0.0, 1.0, "top_p")?;
    ranged(object.get("presence_penalty"), -2.0, 2.0, "presence_penalty")?;
    ranged(object.get("frequency_penalty"), -2.0, 2.0, "frequency_penalty")?;
    ask.stops = match object.get("stop") {
        None | Some(Value::Null) => vec![],
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) if many.len() <= 4 => {
            many.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(_) => {
            return Err(Invalid::new("'stop' must be a string or an array of at most 4 strings.", "stop"));
        }
    };
    Ok(())
}
