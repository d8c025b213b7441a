//! Validates a messages request as strictly as the real service does: the top level.
//!
//! Source: the public API reference and the service's own refusals as users quote them
//! (read November 2026).

use serde_json::{Map, Value};

use super::{messages, tools};
use crate::ask::{Ask, Choice, Invalid, count, ranged, text};
use crate::schema::first_open_object;

const TOP: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "system",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "metadata",
    "thinking",
    "service_tier",
    "output_config",
    "output_format",
    "context_management",
    "container",
    "mcp_servers",
    "cache_control",
    "inference_geo",
    "diagnostics",
    "speed",
];

/// What a request for a count may hold.
const COUNTED: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "cache_control",
    "output_config",
    "context_management",
    "mcp_servers",
];

/// Reads a request whose tokens are to be counted: it has no limit of an answer.
pub(crate) fn read_to_count(body: &Value) -> Result<Ask, Invalid> {
    let mut body = body.clone();
    let Some(object) = body.as_object_mut() else { return read(&body) };
    if let Some(key) = object.keys().find(|key| !COUNTED.contains(&key.as_str())) {
        return Err(Invalid::new(format!("{key}: Extra inputs are not permitted"), key.clone()));
    }
    object.insert("max_tokens".to_owned(), 1_000_000.into());
    read(&body)
}

/// Reads the request, or says what a real service would say.
pub(crate) fn read(body: &Value) -> Result<Ask, Invalid> {
    let object =
        body.as_object().ok_or_else(|| Invalid::new("The request body is not valid JSON.", "body"))?;
    if let Some(key) = object.keys().find(|key| !TOP.contains(&key.as_str())) {
        return Err(Invalid::new(format!("{key}: Extra inputs are not permitted"), key.clone()));
    }
    let mut ask = Ask { model: text(object.get("model"), "model")?.to_owned(), n: 1, ..Ask::default() };
    ask.limit = count(object.get("max_tokens"), 1, "max_tokens")?;
    if ask.limit.is_none() {
        return Err(Invalid::new("max_tokens: Field required", "max_tokens"));
    }
    // In the order in which the service caches: tools, system, messages.
    tools::read(object, &mut ask)?;
    if let Some(system) = object.get("system") {
        messages::read_system(system, &mut ask)?;
    }
    messages::read(object, &mut ask)?;
    messages::mark(object, &mut ask)?;
    read_settings(object, &mut ask)?;
    read_thinking(object, &mut ask)?;
    read_output(object, &mut ask)?;
    Ok(ask)
}

fn read_settings(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    ranged(object.get("temperature"), 0.0, 1.0, "temperature")?;
    ranged(object.get("top_p"), 0.0, 1.0, "top_p")?;
    count(object.get("top_k"), 0, "top_k")?;
    for stop in object.get("stop_sequences").and_then(Value::as_array).into_iter().flatten() {
        let stop = text(Some(stop), "stop_sequences")?;
        if stop.trim().is_empty() {
            let message = "stop_sequences: each stop sequence must contain non-whitespace";
            return Err(Invalid::new(message, "stop_sequences"));
        }
        ask.stops.push(stop.to_owned());
    }
    let user = object.get("metadata").and_then(|metadata| metadata.get("user_id")).and_then(Value::as_str);
    if user.is_some_and(|user| user.chars().count() > 256) {
        let message = "metadata.user_id: String should have at most 256 characters";
        return Err(Invalid::new(message, "metadata.user_id"));
    }
    ask.stream = object.get("stream") == Some(&Value::Bool(true));
    Ok(())
}

fn read_thinking(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(thinking) = object.get("thinking").filter(|thinking| !thinking.is_null()) else { return Ok(()) };
    let at = "thinking.budget_tokens";
    match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => return Ok(()),
        Some("adaptive" | "between_tools") => {}
        Some("enabled") => {
            let budget = count(thinking.get("budget_tokens"), 1024, at)?;
            if budget.zip(ask.limit).is_none_or(|(budget, limit)| budget >= limit) {
                return Err(Invalid::new("`max_tokens` must be greater than `thinking.budget_tokens`.", at));
            }
        }
        _ => return Err(Invalid::new("thinking: Input tag found using 'type' is not expected", "thinking")),
    }
    let number = |key: &str| object.get(key).and_then(Value::as_f64);
    if number("temperature").is_some_and(|temperature| temperature < 1.0) {
        let message = "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.";
        return Err(Invalid::new(message, "temperature"));
    }
    if number("top_p").is_some_and(|top_p| top_p < 0.95) || number("top_k").is_some() {
        let message =
            "`top_p` must be greater than or equal to 0.95 and `top_k` unset when thinking is enabled.";
        return Err(Invalid::new(message, "top_p"));
    }
    if matches!(ask.choice, Choice::Required | Choice::Named(_)) {
        let message = "Thinking may not be enabled when tool_choice forces tool use.";
        return Err(Invalid::new(message, "tool_choice"));
    }
    ask.thinking = true;
    ask.thinking_omitted = thinking.get("display").and_then(Value::as_str) == Some("omitted");
    Ok(())
}

fn read_output(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let config = object.get("output_config").filter(|config| !config.is_null());
    for (key, value) in config.and_then(Value::as_object).into_iter().flatten() {
        match key.as_str() {
            "effort" => {
                let known = [None, Some("low"), Some("medium"), Some("high"), Some("xhigh"), Some("max")];
                if !known.contains(&value.as_str()) {
                    let message =
                        "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'";
                    return Err(Invalid::new(message, "output_config.effort"));
                }
            }
            "format" | "task_budget" => {}
            other => {
                let at = format!("output_config.{other}");
                return Err(Invalid::new(format!("{at}: Extra inputs are not permitted"), at));
            }
        }
    }
    let format = config.and_then(|config| config.get("format")).or_else(|| object.get("output_format"));
    let Some(format) = format.filter(|format| !format.is_null()) else { return Ok(()) };
    let at = "output_config.format";
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        return Err(Invalid::new(format!("{at}.type: Input should be 'json_schema'"), at));
    }
    let schema = format.get("schema").filter(|schema| schema.is_object());
    let schema = schema.ok_or_else(|| Invalid::new(format!("{at}.schema: Field required"), at))?;
    if let Some(open) = first_open_object(schema, false) {
        let message = format!(
            "{at}.schema: For 'object' type, 'additionalProperties' must be explicitly set to false ({open})"
        );
        return Err(Invalid::new(message, at));
    }
    ask.json = Some(schema.clone());
    Ok(())
}
