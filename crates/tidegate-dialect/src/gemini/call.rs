//! Requests of Gemini into the one form.

use super::names::{self, each, read, rest_of, take};
use super::{contents, schema, tools};
use crate::canonical::{Call, Effort, Json, Names, OutputFormat, Reasoning, ReasoningMode};
use crate::decode::{refuse, rest_of_body};
use crate::json::Value;
use crate::read::{CallBody, Fields, Path, boolean, texts, wrong};
use crate::{Content, Dialect, RequestError};

/// Its words for the one form's.
const SPELLINGS: &[(&str, &str)] = &[
    ("temperature", "generationConfig.temperature"),
    ("top_p", "generationConfig.topP"),
    ("top_k", "generationConfig.topK"),
    ("frequency_penalty", "generationConfig.frequencyPenalty"),
    ("logprobs", "generationConfig.responseLogprobs"),
    ("presence_penalty", "generationConfig.presencePenalty"),
];

/// Decodes a body that has been read.
pub(super) fn decode(body: &CallBody) -> Result<Call, RequestError> {
    let root = Path::Root;
    let mut fields = read(&Value::validated(&body.bytes, body.spots.root), root)?;
    safety(&mut fields)?;
    let mut call = Call {
        list: "contents",
        names: Names {
            stop: "generationConfig.stopSequences",
            format: "generationConfig.responseMimeType",
            own: SPELLINGS,
        },
        turns: contents::decode(&mut fields)?,
        output_limit: body.output_limit,
        stream: body.stream,
        ..Call::default()
    };
    tools::decode(&mut fields, &mut call)?;
    if let Some(value) = take(&mut fields, "generationConfig") {
        config(&value, root.key("generationConfig"), &mut call)?;
    }
    rest_of_body(Dialect::Gemini, &fields)?;
    Ok(call)
}

/// Thresholds that block nothing say nothing elsewhere.
fn safety(fields: &mut Fields<'_>) -> Result<(), RequestError> {
    let Some(settings) = take(fields, "safetySettings") else { return Ok(()) };
    each(&settings, Path::Root.key("safetySettings"), |value, path| {
        let mut setting = read(&value, path)?;
        match names::text(&mut setting, "threshold", path)?.as_deref() {
            None | Some("BLOCK_NONE" | "OFF" | "HARM_BLOCK_THRESHOLD_UNSPECIFIED") => Ok(()),
            Some(_) => Err(refuse(path.key("threshold"), "other providers' filters cannot be set")),
        }
    })
}

fn config(value: &Value<'_>, path: Path<'_>, call: &mut Call) -> Result<(), RequestError> {
    let mut config = read(value, path)?;
    take(&mut config, "maxOutputTokens");
    if let Some(stop) = take(&mut config, "stopSequences") {
        call.stop = texts(&stop, path.key("stopSequences"))?.into_iter().map(Content::new).collect();
    }
    let mut number = |key: &str| match take(&mut config, key) {
        Some(value) => names::number(&value).map(Some).ok_or_else(|| wrong(path.key(key), "a number")),
        None => Ok(None),
    };
    call.temperature = number("temperature")?;
    call.top_p = number("topP")?;
    call.top_k = number("topK")?;
    call.seed = number("seed")?;
    call.frequency_penalty = number("frequencyPenalty")?;
    call.presence_penalty = number("presencePenalty")?;
    if let Some(value) = take(&mut config, "thinkingConfig") {
        call.reasoning = thinking(&value, path.key("thinkingConfig"))?;
    }
    call.logprobs = logprobs(&mut config, path)?;
    call.format = format(&mut config, path)?;
    if let Some(value) = take(&mut config, "responseModalities") {
        let path = path.key("responseModalities");
        if texts(&value, path)?.iter().any(|kind| !kind.eq_ignore_ascii_case("TEXT")) {
            return Err(refuse(path, "only TEXT has a counterpart"));
        }
    }
    rest_of("generationConfig", path, &config)
}

fn logprobs(config: &mut Fields<'_>, path: Path<'_>) -> Result<Option<u64>, RequestError> {
    let asked = take(config, "responseLogprobs");
    let asked = asked.map(|value| boolean(&value, path.key("responseLogprobs"))).transpose()?;
    let top = take(config, "logprobs");
    let top = top.map(|value| super::read::whole(&value, path.key("logprobs"))).transpose()?;
    if top.is_some() && asked != Some(true) {
        return Err(wrong(path.key("logprobs"), "absent where responseLogprobs is not true"));
    }
    Ok((asked == Some(true)).then_some(top.unwrap_or(0)))
}

fn format(config: &mut Fields<'_>, path: Path<'_>) -> Result<Option<OutputFormat>, RequestError> {
    let kind = names::text(config, "responseMimeType", path)?;
    let schema = match take(config, "responseJsonSchema").or_else(|| take(config, "_responseJsonSchema")) {
        Some(schema) => Some(Json::from(&schema)),
        None => take(config, "responseSchema")
            .map(|schema| schema::to_json_schema(&schema, path.key("responseSchema")))
            .transpose()?,
    };
    match (kind.as_deref(), schema) {
        (None | Some("application/json"), Some(schema)) => {
            // Strict modes elsewhere want schemas that close every object.
            Ok(Some(OutputFormat::Schema { name: None, schema, strict: Some(false) }))
        }
        (Some("application/json"), None) => Ok(Some(OutputFormat::JsonObject)),
        (None | Some("" | "text/plain"), None) => Ok(None),
        _ => Err(refuse(path.key("responseMimeType"), "only text and JSON can be asked for")),
    }
}

fn thinking(value: &Value<'_>, path: Path<'_>) -> Result<Reasoning, RequestError> {
    let mut thinking = read(value, path)?;
    let mut reasoning = Reasoning::default();
    if let Some(level) = names::text(&mut thinking, "thinkingLevel", path)? {
        reasoning.mode = ReasoningMode::Adaptive;
        reasoning.effort = match level.to_ascii_uppercase().as_str() {
            "MINIMAL" | "LOW" => Some(Effort::Low),
            "MEDIUM" => Some(Effort::Medium),
            "HIGH" => Some(Effort::High),
            "XHIGH" => Some(Effort::ExtraHigh),
            "THINKING_LEVEL_UNSPECIFIED" => None,
            _ => return Err(wrong(path.key("thinkingLevel"), "MINIMAL, LOW, MEDIUM or HIGH")),
        };
    }
    if let Some(budget) = take(&mut thinking, "thinkingBudget") {
        reasoning.mode = match names::number(&budget).as_ref().map(AsRef::as_ref) {
            Some(b"-1") => ReasoningMode::Adaptive,
            Some(b"0") => ReasoningMode::Off,
            _ => ReasoningMode::Budget(super::read::whole(&budget, path.key("thinkingBudget"))?),
        };
    }
    rest_of("generationConfig.thinkingConfig", path, &thinking)?;
    Ok(reasoning)
}
