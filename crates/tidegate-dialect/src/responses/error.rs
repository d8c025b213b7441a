//! Errors of responses: whole ones as in chat completions, and the event that ends a stream.
//!
//! The reference gives the event's members at its top level; the service, and SDKs that raise on
//! it, have them in `error`. Both are written, so that every client finds them.

use crate::Content;
use crate::json::{Value, Writer};
use crate::refusal::{Failure, UpstreamError, read_value};

/// The event that ends a stream.
pub(super) fn event(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    let document = crate::openai::error::document(failure, status);
    let error = Value::parse(&document).ok().and_then(|document| document.get("error"));
    let mut json = Writer::new();
    json.object(|json| {
        json.key("type").text("error").key("sequence_number").whole(0);
        for key in ["code", "message", "param"] {
            json.key(key)
                .raw(error.and_then(|error| error.get(key)).map_or(&b"null"[..], |value| value.raw()));
        }
        json.key("error").raw(error.map_or(&b"null"[..], |error| error.raw()));
    });
    [b"event: error\ndata: ".as_slice(), &json.into_bytes(), b"\n\n"].concat()
}

/// The provider's error in an `error` event, or in the response of `response.failed`.
pub(super) fn read(holder: &Value<'_>) -> UpstreamError {
    let mut error = read_value(holder);
    // At the top level the type is the event's own.
    if error.kind.as_deref() == Some("error") {
        error.kind = None;
    }
    if error == UpstreamError::default() {
        error.message = Content::new("the provider failed");
    }
    error
}
