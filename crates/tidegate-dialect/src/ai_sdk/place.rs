//! Options that the client gave for single providers, put into the call when the provider that is asked
//! is one of them. Those for others fall away; those that cannot be carried are refused by name.

use crate::canonical::{Call, OutputFormat, Part, ReasoningMode};
use crate::decode::refuse;
use crate::json::Value;
use crate::outbound::Edits;
use crate::read::{Fields, Path, boolean, text, whole, wrong};
use crate::registry::Carriage::{Dropped, Refused};
use crate::registry::Effect::{Bills, Plain, Retains};
use crate::registry::{Carriage, Field, field};
use crate::{Dialect, RequestError};

/// Options without a place in the one form, sorted by name. Unregistered ones are refused, too.
pub(super) const OPTIONS: &[Field] = &[
    field("annotations", Plain, Dropped("told by an earlier answer")),
    field("cacheControl", Plain, Dropped("parts and messages carry markers")),
    field("citations", Plain, Refused("no counterpart")).harmless(&[br#"{"enabled":false}"#]),
    field("forceReasoning", Plain, Dropped("how the SDK's own provider words the request")),
    field("includeThoughts", Plain, Dropped("what the provider shows is shown")),
    field("include", Plain, Dropped("what the provider shows is shown")),
    field("labels", Plain, Dropped("labels at the provider; the gateway has its own")),
    field("logitBias", Plain, Refused("token ids differ between models")).harmless(&[b"{}"]),
    field("logprobs", Plain, Refused("no counterpart")).harmless(&[b"false", b"0"]),
    field("metadata", Plain, Dropped("labels at the provider; the gateway has its own")),
    field("prediction", Bills, Dropped("only makes the same answer faster")),
    field("promptCacheKey", Plain, Dropped("only steers cache hits")),
    field("promptCacheRetention", Retains, Dropped("only steers cache hits")),
    field("reasoningFormat", Plain, Dropped("the protocol has one form")),
    field("reasoningSummary", Plain, Dropped("what the provider shows is shown")),
    field("responseModalities", Bills, Refused("only text")).harmless(&[br#"["TEXT"]"#]),
    field("safePrompt", Plain, Refused("no counterpart")).harmless(&[b"false"]),
    field("serviceTier", Bills, Refused("only auto and default have counterparts"))
        .harmless(&[br#""auto""#, br#""default""#]),
    field("speed", Bills, Refused("no counterpart")).harmless(&[br#""standard""#]),
    field("store", Retains, Refused("the provider stores nothing")).harmless(&[b"false"]),
    field("structuredOutputMode", Plain, Dropped("how the SDK's own provider words the request")),
    field("structuredOutputs", Plain, Dropped("how the SDK's own provider words the request")),
    field("systemMessageMode", Plain, Dropped("how the SDK's own provider words the request")),
    field("textVerbosity", Plain, Refused("no counterpart")).harmless(&[br#""medium""#]),
    field("toolStreaming", Plain, Dropped("how soon input streams")),
    field("truncation", Plain, Refused("no counterpart")).harmless(&[br#""disabled""#]),
];

/// Puts the options for the provider that is asked into the call.
pub(crate) fn apply(call: &mut Call, target: Dialect, edits: &Edits<'_>) -> Result<(), RequestError> {
    for given in std::mem::take(&mut call.options) {
        if !is_asked(&given.provider, target, edits) {
            continue;
        }
        let place = Place(&given.path);
        let Ok(value) = Value::parse(given.options.as_ref()) else { continue };
        for option in Fields::read(&value, Path::Root).map_err(|error| place.of(error))?.iter() {
            if !option.value.is_null() {
                one(call, &option.key, &option.value).map_err(|error| place.of(error))?;
            }
        }
    }
    Ok(())
}

/// Where the options stand: put before the paths of errors.
struct Place<'p>(&'p str);

impl Place<'_> {
    fn of(&self, error: RequestError) -> RequestError {
        let below = |path: String| format!("{}.{path}", self.0);
        match error {
            RequestError::Duplicate { path } => RequestError::Duplicate { path: below(path) },
            RequestError::Missing { path } => RequestError::Missing { path: below(path) },
            RequestError::Wrong { path, expected } => RequestError::Wrong { path: below(path), expected },
            RequestError::Untranslatable { field, why } => {
                RequestError::Untranslatable { field: below(field), why }
            }
            other => other,
        }
    }
}

/// Whether these options are meant for the provider that is asked: by a word of its slug (`openai-eu`,
/// `my-azure`) or by its dialect. Claude at Bedrock or Vertex takes Anthropic's, Azure takes OpenAI's.
fn is_asked(name: &str, target: Dialect, edits: &Edits<'_>) -> bool {
    let called = |name: &str| edits.provider.split('-').any(|word| word.eq_ignore_ascii_case(name));
    match name {
        "anthropic" => target == Dialect::AnthropicMessages || called(name) || edits.model.contains("claude"),
        "google" | "vertex" | "googleVertex" => {
            target == Dialect::Gemini || called("google") || called("vertex")
        }
        "bedrock" | "amazonBedrock" => target == Dialect::BedrockConverse || called("bedrock"),
        "cohere" => target == Dialect::CohereChat || called(name),
        "openai" if edits.provider.is_empty() => {
            matches!(target, Dialect::OpenaiChat | Dialect::OpenaiResponses)
        }
        "openai" => called(name) || called("azure"),
        other => called(other) || other.eq_ignore_ascii_case(edits.provider),
    }
}

fn one(call: &mut Call, name: &str, value: &Value<'_>) -> Result<(), RequestError> {
    let path = Path::Root.key(name);
    match name {
        "reasoningEffort" | "effort" => effort(call, value, path)?,
        "thinking" | "reasoningConfig" => thinking(call, value, path)?,
        "thinkingConfig" => thinking_config(call, value, path)?,
        "parallelToolCalls" => call.parallel_tools = Some(boolean(value, path)?),
        "disableParallelToolUse" => call.parallel_tools = Some(!boolean(value, path)?),
        "user" | "safetyIdentifier" => call.user = Some(text(value, path)?.into_owned().into()),
        "strictJsonSchema" => {
            let wanted = boolean(value, path)?;
            if let Some(OutputFormat::Schema { strict, .. }) = &mut call.format {
                *strict = Some(wanted);
            }
        }
        "sendReasoning" => {
            if !boolean(value, path)? {
                let thought =
                    |part: &Part| matches!(part, Part::Thinking { .. } | Part::RedactedThinking { .. });
                call.turns.iter_mut().for_each(|turn| turn.parts.retain(|part| !thought(part)));
            }
        }
        "metadata" if value.get("userId").is_some() => {
            let user = Fields::read(value, path)?.get("userId");
            call.user = user
                .map(|user| text(&user, path.key("userId")))
                .transpose()?
                .map(|user| user.into_owned().into());
        }
        _ => return unplaced(name, value, path),
    }
    Ok(())
}

fn unplaced(name: &str, value: &Value<'_>, path: Path<'_>) -> Result<(), RequestError> {
    match OPTIONS.iter().find(|field| field.name == name) {
        Some(field) if field.harmless.contains(&value.raw()) => Ok(()),
        Some(Field { carriage: Carriage::Refused(why), .. }) => Err(refuse(path, why)),
        Some(_) => Ok(()),
        None => Err(refuse(path, "the gateway does not know how to carry it over")),
    }
}

fn effort(call: &mut Call, value: &Value<'_>, path: Path<'_>) -> Result<(), RequestError> {
    match &*text(value, path)? {
        "none" => {
            call.reasoning.mode = ReasoningMode::Off;
            call.reasoning.effort = None;
        }
        "default" => {}
        word => {
            let effort = super::call::effort(word);
            let effort =
                effort.ok_or_else(|| wrong(path, "none, minimal, low, medium, high, xhigh or max"))?;
            call.reasoning.effort = Some(effort);
            if matches!(call.reasoning.mode, ReasoningMode::Unsaid | ReasoningMode::Off) {
                call.reasoning.mode = ReasoningMode::Adaptive;
            }
        }
    }
    Ok(())
}

/// `{type, budgetTokens | tokenBudget | maxReasoningEffort}`: Anthropic, Bedrock, Cohere.
fn thinking(call: &mut Call, value: &Value<'_>, path: Path<'_>) -> Result<(), RequestError> {
    let fields = Fields::read(value, path)?;
    for member in fields.iter().filter(|member| !member.value.is_null()) {
        let (value, path) = (&member.value, path.key(&member.key));
        match &*member.key {
            "type" => match &*text(value, path)? {
                "disabled" => call.reasoning.mode = ReasoningMode::Off,
                "enabled" | "adaptive" if !matches!(call.reasoning.mode, ReasoningMode::Budget(_)) => {
                    call.reasoning.mode = ReasoningMode::Adaptive;
                }
                "enabled" | "adaptive" => {}
                _ => return Err(wrong(path, "enabled, adaptive or disabled")),
            },
            "budgetTokens" | "budget_tokens" | "tokenBudget" => {
                call.reasoning.mode = ReasoningMode::Budget(whole(value, path)?);
            }
            "maxReasoningEffort" => effort(call, value, path)?,
            "display" => {}
            _ => return Err(refuse(path, "the gateway does not know how to carry it over")),
        }
    }
    Ok(())
}

/// Google's: a budget of 0 switches off, one of -1 leaves it to the model.
fn thinking_config(call: &mut Call, value: &Value<'_>, path: Path<'_>) -> Result<(), RequestError> {
    for member in Fields::read(value, path)?.iter().filter(|member| !member.value.is_null()) {
        let (value, path) = (&member.value, path.key(&member.key));
        match &*member.key {
            "thinkingBudget" => {
                call.reasoning.mode = match value.raw() {
                    b"-1" => ReasoningMode::Adaptive,
                    b"0" => ReasoningMode::Off,
                    _ => ReasoningMode::Budget(whole(value, path)?),
                }
            }
            "thinkingLevel" => effort(call, value, path)?,
            "includeThoughts" => drop(boolean(value, path)?),
            _ => return Err(refuse(path, "the gateway does not know how to carry it over")),
        }
    }
    Ok(())
}

/// What the AI SDK calls a field that encoders name in the one form's words.
pub(crate) fn own_name(error: RequestError) -> RequestError {
    let RequestError::Untranslatable { field, why } = error else { return error };
    let field = match field.as_str() {
        "top_k" => "topK".to_owned(),
        "top_p" => "topP".to_owned(),
        "frequency_penalty" => "frequencyPenalty".to_owned(),
        "presence_penalty" => "presencePenalty".to_owned(),
        _ => field,
    };
    RequestError::Untranslatable { field, why }
}
