//! Validates settings: inference, output, and a model's own fields.

use serde_json::{Map, Value};

use super::request::{Maker, only};
use crate::ask::{Ask, Choice, Invalid, count, ranged, text};
use crate::schema::first_open_object;

fn refuse<T>(message: impl Into<String>, at: &str) -> Result<T, Invalid> {
    Err(Invalid::new(message, at))
}

/// Reads them.
pub(super) fn read(object: &Map<String, Value>, maker: Maker, ask: &mut Ask) -> Result<(), Invalid> {
    let none = Map::new();
    let inference = object.get("inferenceConfig").and_then(Value::as_object).unwrap_or(&none);
    only(inference, &["maxTokens", "temperature", "topP", "stopSequences"], "inferenceConfig")?;
    ask.limit = count(inference.get("maxTokens"), 1, "inferenceConfig.maxTokens")?;
    ranged(inference.get("temperature"), 0.0, 1.0, "inferenceConfig.temperature")?;
    ranged(inference.get("topP"), 0.0, 1.0, "inferenceConfig.topP")?;
    for stop in inference.get("stopSequences").and_then(Value::as_array).into_iter().flatten() {
        let stop = text(Some(stop), "inferenceConfig.stopSequences")?;
        if stop.is_empty() {
            return refuse("inferenceConfig.stopSequences must not be empty.", "inferenceConfig");
        }
        ask.stops.push(stop.to_owned());
    }
    output(object, ask)?;
    own(object, inference, maker, ask)
}

fn output(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(config) = object.get("outputConfig") else { return Ok(()) };
    let at = "outputConfig";
    only(config.as_object().unwrap_or(&Map::new()), &["textFormat", "effort"], at)?;
    if let Some(effort) = config.get("effort")
        && !matches!(effort.as_str(), Some("low" | "medium" | "high" | "xhigh" | "max"))
    {
        return refuse("outputConfig.effort must be one of: low, medium, high, xhigh, max.", at);
    }
    let Some(format) = config.get("textFormat") else { return Ok(()) };
    let schema = format.pointer("/structure/jsonSchema/schema").and_then(Value::as_str);
    let schema = schema.and_then(|schema| serde_json::from_str::<Value>(schema).ok());
    match (format.get("type").and_then(Value::as_str), schema) {
        (Some("json_schema"), Some(schema)) if schema.is_object() => {
            if let Some(open) = first_open_object(&schema, false) {
                let message = format!(
                    "outputConfig.textFormat: For 'object' type, 'additionalProperties' must be explicitly set to \
                     false ({open})"
                );
                return refuse(message, at);
            }
            ask.json = Some(schema);
            Ok(())
        }
        _ => refuse("outputConfig.textFormat must have a JSON schema, written as a string.", at),
    }
}

/// Fields of a model's own: what Converse passes on as it is.
fn own(
    object: &Map<String, Value>,
    inference: &Map<String, Value>,
    maker: Maker,
    ask: &mut Ask,
) -> Result<(), Invalid> {
    let Some(fields) = object.get("additionalModelRequestFields").and_then(Value::as_object) else {
        return Ok(());
    };
    let at = "additionalModelRequestFields";
    let known: &[&str] = match maker {
        Maker::Anthropic => &["thinking", "top_k", "tool_choice", "anthropic_beta"],
        Maker::Amazon => &["inferenceConfig", "reasoningConfig"],
        Maker::OpenAi => &["reasoning_effort"],
        Maker::Other => &[],
    };
    only(fields, known, at)?;
    if let Some(choice) = fields.get("tool_choice") {
        own_choice(choice, object, ask)?;
    }
    let Some(thinking) = fields.get("thinking") else { return Ok(()) };
    match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => return Ok(()),
        Some("adaptive") => {}
        Some("enabled") => {
            let budget = count(thinking.get("budget_tokens"), 1024, "thinking.budget_tokens")?;
            if budget.is_none() || budget.zip(ask.limit).is_some_and(|(budget, limit)| budget >= limit) {
                return refuse("`max_tokens` must be greater than `thinking.budget_tokens`.", at);
            }
        }
        _ => return refuse("thinking: Input tag found using 'type' is not expected", at),
    }
    if inference.get("temperature").and_then(Value::as_f64).is_some_and(|temperature| temperature < 1.0) {
        return refuse("`temperature` may only be set to 1 when thinking is enabled.", at);
    }
    if matches!(ask.choice, Choice::Required | Choice::Named(_)) {
        return refuse("Thinking may not be enabled when tool_choice forces tool use.", at);
    }
    ask.thinking = true;
    Ok(())
}

fn own_choice(choice: &Value, object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let at = "additionalModelRequestFields.tool_choice";
    if ask.tools.is_empty() {
        return refuse("tool_choice may only be specified while providing tools.", at);
    }
    if object.get("toolConfig").is_some_and(|config| config.get("toolChoice").is_some()) {
        return refuse("tool_choice is given twice.", at);
    }
    ask.choice = match choice.get("type").and_then(Value::as_str) {
        Some("auto") => Choice::Auto,
        Some("any") => Choice::Required,
        Some("none") => Choice::None,
        Some("tool") => Choice::Named(text(choice.get("name"), at)?.to_owned()),
        _ => return refuse("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'", at),
    };
    ask.single_call = choice.get("disable_parallel_tool_use") == Some(&Value::Bool(true));
    Ok(())
}
