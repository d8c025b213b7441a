//! Validates a responses request as strictly as the real service does.

use serde_json::{Map, Value};

use super::items::read_input;
use super::tools::{read_format, read_tools};
use crate::ask::{Ask, Invalid, ranged, text};

const TOP: &[&str] = &[
    "background",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

const INCLUDABLE: &[&str] = &[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
];

const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// An error with the code that the service gives.
pub(super) fn refuse(code: &'static str, message: impl Into<String>, at: impl Into<String>) -> Invalid {
    Invalid { code: Some(code), ..Invalid::new(message, at) }
}

/// Refuses members that are not in `known`.
pub(super) fn only_known(object: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), Invalid> {
    let Some(key) = object.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
    Err(refuse("unknown_parameter", format!("Unknown parameter: '{path}'."), path))
}

/// One word out of several.
pub(super) fn one_of<'v>(value: &'v Value, words: &[&str], at: &str) -> Result<&'v str, Invalid> {
    let word = text(Some(value), at)?;
    if words.contains(&word) {
        return Ok(word);
    }
    let supported: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let message = format!("Invalid value: '{word}'. Supported values are: {}.", supported.join(", "));
    Err(refuse("invalid_value", message, at))
}

pub(super) fn given<'o>(object: &'o Map<String, Value>, key: &str) -> Option<&'o Value> {
    object.get(key).filter(|value| !value.is_null())
}

/// Reads the request, or says what a real service would say.
pub(crate) fn read(body: &Value) -> Result<Ask, Invalid> {
    let object = body
        .as_object()
        .ok_or_else(|| Invalid::new("We could not parse the JSON body of your request.", "body"))?;
    only_known(object, TOP, "")?;
    for needed in ["model", "input"] {
        if given(object, needed).is_none() {
            let message = format!("Missing required parameter: '{needed}'.");
            return Err(refuse("missing_required_parameter", message, needed));
        }
    }
    refuse_kept(object)?;
    let mut ask = Ask {
        model: text(object.get("model"), "model")?.to_owned(),
        n: 1,
        caches_itself: true,
        ..Ask::default()
    };
    if let Some(instructions) = given(object, "instructions") {
        ask.input.push(text(Some(instructions), "instructions")?.to_owned());
    }
    read_input(object.get("input").unwrap_or(&Value::Null), &mut ask)?;
    read_numbers(object, &mut ask)?;
    read_switches(object, &mut ask)?;
    read_reasoning(object, &mut ask)?;
    read_tools(object, &mut ask)?;
    read_format(object, &mut ask)?;
    Ok(ask)
}

fn refuse_kept(object: &Map<String, Value>) -> Result<(), Invalid> {
    if let Some(id) = given(object, "previous_response_id") {
        let id = text(Some(id), "previous_response_id")?;
        let message = format!("Previous response with id '{id}' not found.");
        return Err(refuse("previous_response_not_found", message, "previous_response_id"));
    }
    for kept in ["conversation", "prompt"] {
        if given(object, kept).is_some() {
            return Err(Invalid { status: 404, ..Invalid::new(format!("No such {kept}."), kept) });
        }
    }
    Ok(())
}

fn read_numbers(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    const LEAST: u64 = 16;
    if let Some(limit) = given(object, "max_output_tokens") {
        let at = "max_output_tokens";
        let number = limit.as_u64().ok_or_else(|| {
            refuse("invalid_type", format!("Invalid type for '{at}': expected an integer."), at)
        })?;
        if number < LEAST {
            let message = format!(
                "Invalid '{at}': integer below minimum value. Expected a value >= {LEAST}, but got {number} instead."
            );
            return Err(refuse("integer_below_min_value", message, at));
        }
        ask.limit = Some(number);
    }
    ranged(object.get("temperature"), 0.0, 2.0, "temperature")?;
    ranged(object.get("top_p"), 0.0, 1.0, "top_p")?;
    ranged(object.get("top_logprobs"), 0.0, 20.0, "top_logprobs")
}

fn flag(object: &Map<String, Value>, at: &str) -> Result<Option<bool>, Invalid> {
    given(object, at)
        .map(|value| value.as_bool())
        .map(|flag| {
            flag.ok_or_else(|| {
                refuse("invalid_type", format!("Invalid type for '{at}': expected a boolean."), at)
            })
        })
        .transpose()
}

fn read_switches(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    ask.stream = flag(object, "stream")?.unwrap_or(false);
    ask.single_call = flag(object, "parallel_tool_calls")? == Some(false);
    flag(object, "store")?;
    if flag(object, "background")? == Some(true) {
        return Err(Invalid::new("Background mode is not simulated.", "background"));
    }
    if given(object, "stream_options").is_some() && !ask.stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Invalid::new(message, "stream_options"));
    }
    if let Some(truncation) = given(object, "truncation") {
        one_of(truncation, &["auto", "disabled"], "truncation")?;
    }
    for (index, asked) in given(object, "include").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        let asked = one_of(asked, INCLUDABLE, &format!("include[{index}]"))?;
        ask.sealed |= asked == "reasoning.encrypted_content";
        if asked == "message.output_text.logprobs" {
            ask.logprobs = Some(given(object, "top_logprobs").and_then(Value::as_u64).unwrap_or(0));
        }
    }
    Ok(())
}

fn read_reasoning(object: &Map<String, Value>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(reasoning) = given(object, "reasoning") else { return Ok(()) };
    let members =
        reasoning.as_object().ok_or_else(|| Invalid::new("'reasoning' must be an object.", "reasoning"))?;
    only_known(members, &["effort", "summary", "generate_summary", "context", "mode"], "reasoning")?;
    if let Some(effort) = given(members, "effort") {
        one_of(effort, EFFORTS, "reasoning.effort")?;
    }
    if let Some(summary) = given(members, "summary") {
        one_of(summary, &["auto", "concise", "detailed"], "reasoning.summary")?;
        ask.thinking = true;
    }
    Ok(())
}
