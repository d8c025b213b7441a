//! Validates a request of Cohere's chat: the top level, tools, settings.

use serde_json::{Map, Value};

use super::messages;
use crate::ask::{Ask, Choice, Invalid, Tool, count, only_known, ranged, text};

const TOP: &[&str] = &[
    "model",
    "messages",
    "stream",
    "tools",
    "strict_tools",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "tool_choice",
    "thinking",
    "priority",
    "raw_prompting",
];

fn refuse<T>(message: impl Into<String>, at: &str) -> Result<T, Invalid> {
    Err(Invalid::new(message, at))
}

/// Reads the request, or says what the real service would say.
pub(crate) fn read(body: &Value) -> Result<Ask, Invalid> {
    let object =
        body.as_object().ok_or_else(|| Invalid::new("the request body is not valid JSON", "body"))?;
    only_known(object, TOP, "")?;
    let model = text(object.get("model"), "model")?.to_owned();
    let stream = object.get("stream") == Some(&Value::Bool(true));
    let mut ask = Ask { model, stream, n: 1, ..Ask::default() };
    tools(object, &mut ask)?;
    messages::read(object, &mut ask)?;
    settings(object, &mut ask)?;
    format(object, &mut ask)?;
    thinking(object, &mut ask)?;
    Ok(ask)
}

fn tools(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    for (index, tool) in object.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = format!("tools[{index}]");
        let function = tool.get("function").and_then(Value::as_object);
        let Some(function) =
            function.filter(|_| tool.get("type").and_then(Value::as_str) == Some("function"))
        else {
            return refuse(format!("{at} must be of type function"), &at);
        };
        only_known(function, &["name", "description", "parameters"], &format!("{at}.function"))?;
        let name = text(function.get("name"), &format!("{at}.function.name"))?.to_owned();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        {
            return refuse(format!("{at}: the name of a tool has letters, digits and underscores"), &at);
        }
        let Some(schema) = function.get("parameters").filter(|schema| schema.is_object()) else {
            return refuse(format!("{at}.function.parameters must be a JSON schema"), &at);
        };
        ask.input.push(format!("{name}{}{schema}", function.get("description").unwrap_or(&Value::Null)));
        ask.tools.push(Tool { name, schema: schema.clone() });
    }
    ask.choice = match object.get("tool_choice").map(|choice| choice.as_str().unwrap_or_default()) {
        None => Choice::Auto,
        Some("NONE") if !ask.tools.is_empty() => Choice::None,
        Some("REQUIRED") if !ask.tools.is_empty() => Choice::Required,
        _ => return refuse("tool_choice must be REQUIRED or NONE, and needs tools", "tool_choice"),
    };
    Ok(())
}

fn settings(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    ask.limit = count(object.get("max_tokens"), 1, "max_tokens")?;
    ranged(object.get("temperature"), 0.0, 5.0, "temperature")?;
    ranged(object.get("p"), 0.0, 1.0, "p")?;
    ranged(object.get("k"), 0.0, 500.0, "k")?;
    ranged(object.get("frequency_penalty"), 0.0, 1.0, "frequency_penalty")?;
    ranged(object.get("presence_penalty"), 0.0, 1.0, "presence_penalty")?;
    count(object.get("seed"), 0, "seed")?;
    for stop in object.get("stop_sequences").and_then(Value::as_array).into_iter().flatten() {
        ask.stops.push(text(Some(stop), "stop_sequences")?.to_owned());
    }
    if ask.stops.len() > 5 {
        return refuse("stop_sequences must have at most 5 entries", "stop_sequences");
    }
    let safety = object.get("safety_mode").map(|mode| mode.as_str().unwrap_or_default());
    if !matches!(safety, None | Some("CONTEXTUAL" | "STRICT" | "OFF")) {
        return refuse("safety_mode must be CONTEXTUAL, STRICT or OFF", "safety_mode");
    }
    Ok(())
}

fn format(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(format) = object.get("response_format") else { return Ok(()) };
    let at = "response_format";
    only_known(format.as_object().unwrap_or(&Map::new()), &["type", "json_schema", "schema"], at)?;
    let schema = format.get("json_schema").or_else(|| format.get("schema"));
    match (format.get("type").and_then(Value::as_str), schema) {
        (Some("text"), None) => Ok(()),
        (Some("json_object"), _) if !ask.tools.is_empty() => {
            refuse("cannot specify both response_format and tools", at)
        }
        (Some("json_object"), schema) => {
            let any = serde_json::json!({"type": "object"});
            ask.json = Some(schema.cloned().unwrap_or(any));
            Ok(())
        }
        _ => refuse("response_format.type must be text or json_object", at),
    }
}

fn thinking(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(thinking) = object.get("thinking") else { return Ok(()) };
    only_known(thinking.as_object().unwrap_or(&Map::new()), &["type", "token_budget"], "thinking")?;
    count(thinking.get("token_budget"), 1, "thinking.token_budget")?;
    match thinking.get("type").and_then(Value::as_str) {
        Some("enabled") => ask.thinking = true,
        Some("disabled") => {}
        _ => return refuse("thinking.type must be enabled or disabled", "thinking"),
    }
    Ok(())
}
