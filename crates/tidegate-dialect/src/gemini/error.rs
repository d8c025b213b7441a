//! Errors as Google writes them: `{"error": {code, message, status, details}}`, the status a word of
//! google.rpc.Code. Source: AIP-193.

use crate::json::Writer;
use crate::refusal::{Failure, types};

/// The word of google.rpc.Code for an HTTP status.
const fn word(status: u16) -> &'static str {
    match status {
        400 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        500..=599 => "INTERNAL",
        // Used-up money too: clients take an exhausted resource for a rate, and call again.
        _ => "FAILED_PRECONDITION",
    }
}

/// The body of an error answer.
pub(super) fn document(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    let (kind, _) = types(failure.cause, status);
    let mut json = Writer::new();
    json.object(|json| {
        json.key("error").object(|json| {
            json.key("code").whole(status.into()).key("message").text(failure.message);
            json.key("status").text(word(status)).key("details").array(|json| {
                json.object(|json| {
                    json.key("@type").text("type.googleapis.com/google.rpc.ErrorInfo");
                    json.key("reason").text(&failure.code.unwrap_or(kind).to_ascii_uppercase());
                    json.key("domain").text("tidegate");
                    json.key("metadata").object(|json| json.key("call").text(failure.call_id).done());
                });
                if let Some(param) = failure.param {
                    json.object(|json| violation(json, param, failure.message));
                }
            });
        });
    });
    json.into_bytes()
}

fn violation(json: &mut Writer, field: &str, message: &str) {
    json.key("@type").text("type.googleapis.com/google.rpc.BadRequest");
    json.key("fieldViolations").array(|json| {
        json.object(|json| json.key("field").text(field).key("description").text(message).done());
    });
}

/// The event that ends a stream.
pub(super) fn event(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    [b"data: ".as_slice(), &document(failure, status), b"\r\n\r\n"].concat()
}
