//! Gemini's body: its facts.

use super::names::{each, get, once, read as message};
use crate::json::Value;
use crate::read::{CallBody, Fields, Finding, FindingKind, Path, array, boolean, text, wrong};
use crate::{Content, RequestError};

/// Settings of the output that bill no more than tokens at their list price.
const PLAIN: &[&str] = &[
    "temperature",
    "topP",
    "topK",
    "seed",
    "stopSequences",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "mediaResolution",
    "audioTimestamp",
    "enableAffectiveDialog",
    "enableEnhancedCivicAnswers",
];

pub(super) fn read(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    once(body, root)?;
    // Gemini's streams always carry usage.
    call.asked_usage = true;
    if let Some(value) = get(body, "generationConfig") {
        config(&value, root.key("generationConfig"), call)?;
    }
    if let Some(value) = get(body, "labels") {
        let path = root.key("labels");
        for label in Fields::read(&value, path)?.iter() {
            let value = text(&label.value, path.key(&label.key))?;
            call.labels.metadata.push((Content::new(&*label.key), Content::new(value)));
        }
    }
    if get(body, "cachedContent").is_some() {
        call.survey().unboundable(root.key("cachedContent"));
    }
    if let Some(value) = get(body, "safetySettings") {
        each(&value, root.key("safetySettings"), |value, path| message(&value, path).map(|_| ()))?;
    }
    if let Some(value) = get(body, "systemInstruction") {
        call.input.text_bytes += value.raw().len() as u64;
        content(&value, root.key("systemInstruction"), call)?;
    }
    tools(body, call)?;
    let path = root.key("contents");
    let value = get(body, "contents").ok_or_else(|| RequestError::Missing { path: path.to_string() })?;
    call.input.text_bytes += value.raw().len() as u64;
    each(&value, path, |value, path| {
        call.input.messages += 1;
        content(&value, path, call)
    })
}

/// A whole number, or a string of one.
pub(super) fn whole(value: &Value<'_>, path: Path<'_>) -> Result<u64, RequestError> {
    super::names::whole(value).ok_or_else(|| wrong(path, "a whole number, not negative"))
}

fn config(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let config = message(value, path)?;
    for member in config.iter().filter(|member| !member.value.is_null()) {
        let (value, path) = (member.value, path.key(&member.key));
        match &*super::names::camel(&member.key) {
            "maxOutputTokens" => call.output_limit = Some(whole(&value, path)?),
            "candidateCount" => {
                call.answers = whole(&value, path)?;
                if !(1..=8).contains(&call.answers) {
                    return Err(wrong(path, "from 1 to 8"));
                }
            }
            "thinkingConfig" => thinking(&value, path, call)?,
            "responseSchema" | "responseJsonSchema" | "_responseJsonSchema" => {
                call.needs.structured_output = true;
                call.input.tools += 1;
                call.input.text_bytes += value.raw().len() as u64;
            }
            "responseMimeType" => call.needs.structured_output |= text(&value, path)? != "text/plain",
            "responseModalities" => array(&value, path, |value, path| {
                match &*text(&value, path)?.to_ascii_uppercase() {
                    "TEXT" | "MODALITY_UNSPECIFIED" => return Ok(()),
                    "IMAGE" => call.input.most.image_output_tokens = u64::MAX,
                    _ => call.input.most.audio_output_tokens = u64::MAX,
                }
                call.survey().bills(path);
                Ok(())
            })?,
            "speechConfig" | "imageConfig" | "routingConfig" | "modelSelectionConfig" => {
                call.survey().bills(path)
            }
            name if PLAIN.contains(&name) => {}
            _ => call.findings.push(Finding { path: path.to_string(), kind: FindingKind::Unregistered }),
        }
    }
    Ok(())
}

/// Thoughts count against the output limit (googleapis/python-genai, issue 2062).
fn thinking(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let thinking = message(value, path)?;
    if let Some(level) = get(&thinking, "thinkingLevel") {
        text(&level, path.key("thinkingLevel"))?;
        call.needs.reasoning = true;
    }
    if let Some(show) = get(&thinking, "includeThoughts") {
        boolean(&show, path.key("includeThoughts"))?;
    }
    match get(&thinking, "thinkingBudget") {
        None => {}
        // As much as the model finds right.
        Some(budget) if matches!(budget.raw(), b"-1" | b"\"-1\"") => call.needs.reasoning = true,
        Some(budget) => {
            let budget = whole(&budget, path.key("thinkingBudget"))?;
            call.needs.reasoning = budget > 0;
            call.reasoning_budget = (budget > 0).then_some(budget);
        }
    }
    Ok(())
}

fn tools(body: &Fields<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let root = Path::Root;
    if let Some(value) = get(body, "toolConfig") {
        let path = root.key("toolConfig");
        if let Some(calling) = get(&message(&value, path)?, "functionCallingConfig") {
            message(&calling, path.key("functionCallingConfig"))?;
        }
    }
    let Some(value) = get(body, "tools") else { return Ok(()) };
    call.input.text_bytes += value.raw().len() as u64;
    each(&value, root.key("tools"), |tool, path| {
        for member in message(&tool, path)?.iter().filter(|member| !member.value.is_null()) {
            let path = path.key(&member.key);
            match &*super::names::camel(&member.key) {
                "functionDeclarations" => each(&member.value, path, |function, path| {
                    message(&function, path)?;
                    call.input.tools += 1;
                    call.needs.tools = true;
                    Ok(())
                })?,
                // The client runs it.
                "computerUse" => call.needs.tools = true,
                // Searches, code execution, fetched pages: run and billed by the provider.
                name => call.survey().provider_tool(name, path),
            }
        }
        Ok(())
    })
}

fn content(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let content = message(value, path)?;
    if let Some(role) = get(&content, "role") {
        text(&role, path.key("role"))?;
    }
    match get(&content, "parts") {
        None => Ok(()),
        Some(parts) => each(&parts, path.key("parts"), |value, path| part(&value, path, call)),
    }
}

fn part(value: &Value<'_>, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    for member in message(value, path)?.iter().filter(|member| !member.value.is_null()) {
        let (value, path) = (member.value, path.key(&member.key));
        match &*super::names::camel(&member.key) {
            "text" | "thought" | "thoughtSignature" | "partMetadata" | "mediaResolution" => {}
            "functionCall" | "executableCode" | "codeExecutionResult" => {
                message(&value, path)?;
            }
            "functionResponse" => {
                if let Some(parts) = get(&message(&value, path)?, "parts") {
                    each(&parts, path.key("parts"), |value, path| part(&value, path, call))?;
                }
            }
            "inlineData" => media(&value, "data", path, call)?,
            "fileData" => media(&value, "fileUri", path, call)?,
            _ => call.survey().unregistered(path),
        }
    }
    Ok(())
}

/// Tokens of images are bounded by the model, of text by its bytes; of everything else not at all.
fn media(value: &Value<'_>, payload: &str, path: Path<'_>, call: &mut CallBody) -> Result<(), RequestError> {
    let media = message(value, path)?;
    let kind = get(&media, "mimeType").map(|kind| text(&kind, path.key("mimeType"))).transpose()?;
    let kind = kind.unwrap_or_default();
    let payload_value = get(&media, payload);
    if kind.starts_with("image/") {
        call.survey().image(payload_value);
    } else if !(kind.starts_with("text/") && payload == "data") {
        let mut survey = call.survey();
        survey.payload(payload_value);
        survey.unboundable(path);
        call.input.most.audio_input_tokens = u64::MAX;
    }
    call.input.most.image_input_tokens = u64::MAX;
    Ok(())
}
