//! Errors as Anthropic writes them: `{"type": "error", "error": {type, message}, "request_id"}`.

use crate::json::Writer;
use crate::refusal::{Failure, types};

/// The body of an error answer.
pub(super) fn document(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    let (_, kind) = types(failure.cause, status);
    let mut json = Writer::new();
    json.object(|json| {
        json.key("type").text("error").key("error").object(|json| {
            json.key("type").text(kind).key("message").text(failure.message);
        });
        json.key("request_id").text(failure.call_id);
    });
    json.into_bytes()
}

/// The event that ends a stream.
pub(super) fn event(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    [b"event: error\ndata: ".as_slice(), &document(failure, status), b"\n\n"].concat()
}
