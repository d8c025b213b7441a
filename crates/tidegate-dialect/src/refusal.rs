//! Errors in each dialect: written for clients, read from providers.

use crate::json::Value;
use crate::{Content, Dialect, bedrock, codec};
use tidegate_types::usage::RefusalCause;

/// What is told to a client.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// Why, as the table of causes has it.
    pub cause: RefusalCause,
    /// HTTP status; `None`: the cause's own. For `UpstreamFailed` the upstream's last one.
    pub status: Option<u16>,
    /// For people. Must not hold another tenant's or the operator's secrets.
    pub message: &'a str,
    /// Stable code, for example `model_not_priced`; `None`: the type.
    pub code: Option<&'a str>,
    /// JSON path of the offending field.
    pub param: Option<&'a str>,
    /// The model that was asked for, where that is what is wrong.
    pub model: Option<&'a str>,
    /// The call's id.
    pub call_id: &'a str,
}

/// An error's body.
#[derive(Debug, Clone)]
pub struct ErrorBody {
    /// HTTP status.
    pub status: u16,
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub bytes: Vec<u8>,
}

/// A provider's error, read. The message is content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamError {
    /// The dialect's type, for example `overloaded_error`; cut at 64 bytes of `[A-Za-z0-9_.-]`.
    pub kind: Option<String>,
    /// The code, cut alike.
    pub code: Option<String>,
    /// What it says to people.
    pub message: Content,
}

/// HTTP status and type words of a cause: (status, OpenAI's type, Anthropic's type).
#[must_use]
pub const fn words(cause: RefusalCause) -> (u16, &'static str, &'static str) {
    match cause {
        RefusalCause::Unauthenticated => (401, "authentication_error", "authentication_error"),
        RefusalCause::NotAllowed => (403, "forbidden", "permission_error"),
        RefusalCause::UnknownModel => (404, "model_not_found", "not_found_error"),
        RefusalCause::NotPriced | RefusalCause::BadRequest => {
            (400, "invalid_request_error", "invalid_request_error")
        }
        RefusalCause::NoProvider => (400, "no_providers_available", "invalid_request_error"),
        RefusalCause::Budget => (402, "quota_for_entity_exceeded", "billing_error"),
        RefusalCause::RateLimit => (429, "rate_limit_exceeded", "rate_limit_error"),
        RefusalCause::TooLarge => (413, "request_too_large", "request_too_large"),
        RefusalCause::Unavailable => (503, "service_unavailable", "api_error"),
        RefusalCause::Timeout => (504, "timeout_error", "timeout_error"),
        RefusalCause::UpstreamFailed => (502, "internal_server_error", "api_error"),
    }
}

/// The body of an error answer.
#[must_use]
pub fn body(surface: Dialect, failure: &Failure<'_>) -> ErrorBody {
    let status = failure.status.unwrap_or(words(failure.cause).0);
    ErrorBody { status, content_type: "application/json", bytes: (codec::of(surface).error)(failure, status) }
}

/// A header, name and value, that belongs to an error answer of this status: AWS tells the type there.
#[must_use]
pub const fn header(surface: Dialect, status: u16) -> Option<(&'static str, &'static str)> {
    match surface {
        Dialect::BedrockConverse => Some((bedrock::error::TYPE_HEADER, bedrock::error::kind(status))),
        _ => None,
    }
}

/// The event that ends a client's stream with an error.
#[must_use]
pub fn event(surface: Dialect, failure: &Failure<'_>) -> Vec<u8> {
    let status = failure.status.unwrap_or(words(failure.cause).0);
    (codec::of(surface).error_event)(failure, status)
}

/// The type words of a failure: an upstream's status tells more than that it failed.
pub(crate) const fn types(cause: RefusalCause, status: u16) -> (&'static str, &'static str) {
    if matches!((cause, status), (RefusalCause::BadRequest, 404)) {
        // No such endpoint: OpenAI calls that an invalid request, Anthropic does not.
        return ("invalid_request_error", "not_found_error");
    }
    let cause = match (cause, status) {
        (RefusalCause::UpstreamFailed, 400 | 404 | 409 | 422) => RefusalCause::BadRequest,
        (RefusalCause::UpstreamFailed, 413) => RefusalCause::TooLarge,
        (RefusalCause::UpstreamFailed, 429) => RefusalCause::RateLimit,
        (RefusalCause::UpstreamFailed, 408 | 504) => RefusalCause::Timeout,
        (cause, _) => cause,
    };
    let (_, openai, anthropic) = words(cause);
    (openai, if matches!(status, 503 | 529) { "overloaded_error" } else { anthropic })
}

/// Reads a provider's error body of any shape we know; unknown shapes give an empty error.
#[must_use]
pub fn read(body: &[u8]) -> UpstreamError {
    Value::parse(body).map(|root| read_value(&root)).unwrap_or_default()
}

/// The same for an error that is already a JSON value: `{error:{…}}`, `{type:"error",error:{…}}`,
/// `{error:"…"}`, `{message, type}`, or Google's `{error:{code, status, message}}`, which may stand in an array.
pub(crate) fn read_value(root: &Value<'_>) -> UpstreamError {
    let root = &root.elements().next().unwrap_or(*root);
    let inner = root.get("error").filter(|error| !error.is_null()).unwrap_or(*root);
    if let Some(message) = inner.text() {
        return UpstreamError { message: Content::new(message), ..UpstreamError::default() };
    }
    let word = |key| inner.get(key).and_then(|value| code_word(&value));
    UpstreamError {
        kind: word("type").or_else(|| word("status")),
        code: word("code"),
        message: inner
            .get("message")
            .or_else(|| inner.get("Message"))
            .and_then(|message| message.text())
            .map(Content::new)
            .unwrap_or_default(),
    }
}

/// A short word or number that cannot hide content.
fn code_word(value: &Value<'_>) -> Option<String> {
    let text = value.text().or_else(|| value.whole().map(|code| code.to_string().into()))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (!text.is_empty() && text.len() <= 64 && text.chars().all(plain)).then(|| text.into_owned())
}
