//! What a request asks for, whichever dialect it came in.

use serde_json::Value;

/// A validated request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    /// Model, as the caller wrote it.
    pub(crate) model: String,
    /// Every text of the input, for counting.
    pub(crate) input: Vec<String>,
    /// Text of the last message.
    pub(crate) last_text: String,
    /// Result of the tool that the last message reports.
    pub(crate) tool_result: Option<String>,
    /// Most output tokens.
    pub(crate) limit: Option<u64>,
    /// Stop sequences.
    pub(crate) stops: Vec<String>,
    /// Declared tools.
    pub(crate) tools: Vec<Tool>,
    /// Which tool must or may be called.
    pub(crate) choice: Choice,
    /// At most one tool call.
    pub(crate) single_call: bool,
    /// Number of answers.
    pub(crate) n: u64,
    /// The answer must be JSON, following this schema.
    pub(crate) json: Option<Value>,
    /// Stream the answer.
    pub(crate) stream: bool,
    /// Send usage in the stream (OpenAI).
    pub(crate) include_usage: bool,
    /// Visible thinking was asked for (Anthropic).
    pub(crate) thinking: bool,
    /// Of that, only the signature is shown.
    pub(crate) thinking_omitted: bool,
    /// Encrypted reasoning was asked for (OpenAI responses).
    pub(crate) sealed: bool,
    /// How many of the input's texts stand before the last cache marker (Anthropic).
    pub(crate) cached_texts: Option<usize>,
    /// Cache markers in all.
    pub(crate) cache_markers: usize,
    /// Long inputs are cached unasked (OpenAI).
    pub(crate) caches_itself: bool,
    /// Images.
    pub(crate) images: u64,
    /// Searches of the web that are billed for an answer: none, unless a tool for them was declared.
    pub(crate) searches: u64,
    /// Log probabilities are wanted, each with so many likely tokens.
    pub(crate) logprobs: Option<u64>,
}

/// A declared function tool.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// Tool choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

/// A request that a real provider would refuse.
#[derive(Debug, Clone)]
pub(crate) struct Invalid {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
    pub(crate) code: Option<&'static str>,
}

impl Invalid {
    pub(crate) fn new(message: impl Into<String>, param: impl Into<String>) -> Self {
        Self { status: 400, message: message.into(), param: Some(param.into()), code: None }
    }
}

/// Refuses members that are not in `known`.
pub(crate) fn only_known(
    object: &serde_json::Map<String, Value>,
    known: &[&str],
    at: &str,
) -> Result<(), Invalid> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            Err(Invalid::new(format!("Unrecognized request argument supplied: {path}"), path))
        }
        None => Ok(()),
    }
}

/// A member that must be text.
pub(crate) fn text<'a>(value: Option<&'a Value>, at: &str) -> Result<&'a str, Invalid> {
    value.and_then(Value::as_str).ok_or_else(|| Invalid::new(format!("'{at}' must be a string."), at))
}

/// A member that, when present, must be a whole number of at least `least`.
pub(crate) fn count(value: Option<&Value>, least: u64, at: &str) -> Result<Option<u64>, Invalid> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(number) => number
            .as_u64()
            .filter(|n| *n >= least)
            .map(Some)
            .ok_or_else(|| Invalid::new(format!("'{at}' must be an integer of at least {least}."), at)),
    }
}

/// A member that, when present, must be a number within the range.
pub(crate) fn ranged(value: Option<&Value>, low: f64, high: f64, at: &str) -> Result<(), Invalid> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(number) => match number.as_f64() {
            Some(n) if (low..=high).contains(&n) => Ok(()),
            _ => Err(Invalid::new(format!("'{at}' must be a number between {low} and {high}."), at)),
        },
    }
}
