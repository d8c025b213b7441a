//! Errors as Cohere writes them: `{"id", "message"}`; in streams a message that ends with an error.

use crate::json::Writer;
use crate::refusal::Failure;

/// The body of an error answer.
pub(super) fn document(failure: &Failure<'_>, _status: u16) -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("id").text(failure.call_id).key("message").text(failure.message);
    });
    json.into_bytes()
}

/// The event that ends a stream.
pub(super) fn event(failure: &Failure<'_>, _status: u16) -> Vec<u8> {
    let mut out = Vec::new();
    super::encode_stream::write(&mut out, "message-end", |json| {
        json.key("id").text(failure.call_id).key("delta").object(|json| {
            json.key("finish_reason").text("ERROR").key("error").text(failure.message);
        });
    });
    out
}
