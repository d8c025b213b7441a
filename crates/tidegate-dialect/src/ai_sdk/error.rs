//! Errors for clients of the AI SDK: always nested, because their schema takes nothing else.

use tidegate_types::usage::RefusalCause;

use crate::json::Writer;
use crate::refusal::{Failure, types};

/// The body of an error answer: `{"error": {message, type, param, code}, "generationId"}`.
pub(super) fn document(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    let kind = kind(failure, status);
    let mut json = Writer::new();
    json.object(|json| {
        json.key("error").object(|json| {
            json.key("message").text(failure.message).key("type").text(kind).key("param");
            match (failure.model, failure.param) {
                (Some(model), _) => json.object(|json| json.key("modelId").text(model).done()),
                (None, Some(param)) => json.text(param),
                (None, None) => json.null(),
            };
            json.key("code").text(code(failure, kind));
        });
        json.key("generationId").text(failure.call_id);
    });
    json.into_bytes()
}

/// The `error` part of a stream; the client makes an error of its members and reads on.
pub(super) fn event(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    let kind = kind(failure, status);
    let mut json = Writer::new();
    json.object(|json| {
        json.key("type").text("error").key("error").object(|json| {
            json.key("message").text(failure.message).key("type").text(kind);
            json.key("code").text(code(failure, kind)).key("statusCode").whole(u64::from(status));
            json.key("isRetryable").bool(matches!(status, 408 | 409 | 429 | 500..));
        });
    });
    [b"data: ".as_slice(), &json.into_bytes(), b"\n\n"].concat()
}

fn kind(failure: &Failure<'_>, status: u16) -> &'static str {
    types(failure.cause, status).0
}

fn code<'f>(failure: &Failure<'f>, kind: &'static str) -> &'f str {
    match failure.cause {
        RefusalCause::NotPriced => failure.code.unwrap_or("model_not_priced"),
        _ => failure.code.unwrap_or(kind),
    }
}
