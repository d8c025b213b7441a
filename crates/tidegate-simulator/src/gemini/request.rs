//! Validates a request as strictly as the real service does.

use serde_json::{Value, json};

use super::contents::{read_contents, read_system};
use super::message::Message;
use super::tools::{read_choice, read_tools};
use super::{Method, Route};
use crate::ask::{Ask, Invalid, count, ranged};

/// Top-level fields of both services.
const BOTH: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
];
const STUDIO: &[&str] = &["model", "store", "serviceTier"];
const VERTEX: &[&str] = &["model", "labels", "modelArmorConfig"];

const CONFIG: &[&str] = &[
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "audioTimestamp",
    "routingConfig",
    "modelSelectionConfig",
    "enableAffectiveDialog",
    "enableEnhancedCivicAnswers",
];

/// Reads the request, or says what a real service would say.
pub(super) fn read(route: &Route<'_>, body: &Value) -> Result<Ask, Invalid> {
    let own = if route.vertex { VERTEX } else { STUDIO };
    let known: Vec<&str> = BOTH.iter().chain(own).copied().collect();
    if route.method == Method::Count {
        return read_count(route, body, &known);
    }
    let mut ask = read_known(route, body, &known)?;
    ask.stream = route.method == Method::Stream;
    Ok(ask)
}

/// `countTokens` takes the contents, and a whole request in AI Studio.
fn read_count(route: &Route<'_>, body: &Value, known: &[&str]) -> Result<Ask, Invalid> {
    let whole = Message::read(body, &[known, &["generateContentRequest"]].concat(), "")?;
    match whole.get("generateContentRequest") {
        Some(request) if !route.vertex => read_known(route, request, known),
        Some(_) => Err(Invalid::new("Cannot find field.", "generateContentRequest")),
        None => read_known(route, body, known),
    }
}

fn read_known(route: &Route<'_>, body: &Value, known: &[&str]) -> Result<Ask, Invalid> {
    let body = Message::read(body, known, "")?;
    let mut ask = Ask { model: route.model.to_owned(), n: 1, caches_itself: true, ..Ask::default() };
    read_system(&body, &mut ask)?;
    read_contents(&body, &mut ask)?;
    read_tools(&body, &mut ask)?;
    read_choice(&body, &mut ask)?;
    for (setting, at) in body.each("safetySettings")? {
        Message::read(setting, &["category", "threshold", "method"], &at)?;
    }
    if let Some(config) = body.get("generationConfig") {
        read_config(&Message::read(config, CONFIG, "generation_config")?, &mut ask)?;
    }
    Ok(ask)
}

fn read_config(config: &Message<'_>, ask: &mut Ask) -> Result<(), Invalid> {
    ask.limit = count(config.get("maxOutputTokens"), 1, "max_output_tokens")?;
    if let Some(limit) = ask.limit.filter(|limit| *limit > 65_536) {
        let message = format!(
            "Unable to submit request because it has a maxOutputTokens value of {limit} but the supported range is from 1 (inclusive) to 65537 (exclusive)."
        );
        return Err(Invalid::new(message, "max_output_tokens"));
    }
    ask.n = count(config.get("candidateCount"), 1, "candidate_count")?.unwrap_or(1);
    if ask.n > 8 {
        return Err(Invalid::new("candidateCount must be between 1 and 8.", "candidate_count"));
    }
    ranged(config.get("temperature"), 0.0, 2.0, "temperature")?;
    ranged(config.get("topP"), 0.0, 1.0, "top_p")?;
    ranged(config.get("topK"), 1.0, 1000.0, "top_k")?;
    ranged(config.get("presencePenalty"), -2.0, 2.0, "presence_penalty")?;
    ranged(config.get("frequencyPenalty"), -2.0, 2.0, "frequency_penalty")?;
    ask.stops = config.texts("stopSequences")?;
    if ask.stops.len() > 5 || ask.stops.iter().any(String::is_empty) {
        return Err(Invalid::new("At most 5 stop sequences, none of them empty.", "stop_sequences"));
    }
    let top = count(config.get("logprobs"), 0, "logprobs")?;
    if top.is_some() && !config.flag("responseLogprobs")? {
        return Err(Invalid::new("Logprobs requires response_logprobs to be true.", "logprobs"));
    }
    if top.is_some_and(|top| top > 20) {
        return Err(Invalid::new("Logprobs should be in range [0, 20].", "logprobs"));
    }
    ask.logprobs = config.flag("responseLogprobs")?.then_some(top.unwrap_or(0));
    if let Some(other) = config.texts("responseModalities")?.iter().find(|kind| *kind != "TEXT") {
        let message = format!(
            "The requested combination of response modalities ({other}) is not supported by the model."
        );
        return Err(Invalid::new(message, "response_modalities"));
    }
    read_format(config, ask)?;
    read_thinking(config, ask)
}

fn read_format(config: &Message<'_>, ask: &mut Ask) -> Result<(), Invalid> {
    let own = config.get("responseSchema");
    let json_schema = config.get("responseJsonSchema").or_else(|| config.get("_responseJsonSchema"));
    if let Some(own) = own {
        super::schema::check(own, "generation_config.response_schema")?;
    }
    let schema = match (own, json_schema) {
        (Some(_), Some(_)) => {
            let message = "Only one of response_schema and response_json_schema can be set.";
            return Err(Invalid::new(message, "response_schema"));
        }
        (own, json_schema) => json_schema.cloned().or_else(|| own.map(super::schema::lowered)),
    };
    let kind = config.text("responseMimeType")?;
    ask.json = match (kind, schema) {
        (Some("application/json"), schema) => Some(
            schema.unwrap_or_else(|| json!({"type": "object", "properties": {"answer": {"type": "string"}}})),
        ),
        (None | Some("text/plain"), None) => None,
        (None | Some("text/plain"), Some(_)) => {
            let message = "response_schema only supported when response_mime_type is application/json.";
            return Err(Invalid::new(message, "response_mime_type"));
        }
        (Some(other), _) => {
            let message = format!(
                "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, `application/json`; got {other}."
            );
            return Err(Invalid::new(message, "response_mime_type"));
        }
    };
    if let Some(schema) = &ask.json {
        ask.input.push(schema.to_string());
    }
    Ok(())
}

fn read_thinking(config: &Message<'_>, ask: &mut Ask) -> Result<(), Invalid> {
    let Some(thinking) = config.get("thinkingConfig") else { return Ok(()) };
    let at = "generation_config.thinking_config";
    let thinking = Message::read(thinking, &["includeThoughts", "thinkingBudget", "thinkingLevel"], at)?;
    ask.thinking = thinking.flag("includeThoughts")?;
    let level = thinking.text("thinkingLevel")?;
    let budget = thinking.get("thinkingBudget");
    if level.is_some() && budget.is_some() {
        return Err(Invalid::new("You can only set only one of thinking budget and thinking level.", at));
    }
    if level.is_some_and(|level| !matches!(level, "MINIMAL" | "LOW" | "MEDIUM" | "HIGH")) {
        return Err(Invalid::new(format!("Invalid value at '{at}.thinking_level'"), at));
    }
    if level.is_some() && ask.model.contains("gemini-2") {
        return Err(Invalid::new("Thinking level is not supported for this model.", at));
    }
    match budget.map(Value::as_i64) {
        None | Some(Some(-1..=32_768)) => {}
        Some(_) => {
            let message = "The thinking budget is invalid. Please choose a value between 512 and 24576.";
            return Err(Invalid::new(message, at));
        }
    }
    ask.thinking &= budget.and_then(Value::as_i64) != Some(0);
    Ok(())
}
