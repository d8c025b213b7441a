//! Errors as AWS writes them: `{"message"}`, the type in a header; in streams an exception frame.

use crate::eventstream::frame;
use crate::json::Writer;
use crate::refusal::Failure;

/// Name of the header that tells the type of an error.
pub(crate) const TYPE_HEADER: &str = "x-amzn-errortype";

/// The type of an error answer with this status.
pub(crate) const fn kind(status: u16) -> &'static str {
    match status {
        401 => "UnrecognizedClientException",
        402 => "ServiceQuotaExceededException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        400..500 => "ValidationException",
        503 | 529 => "ServiceUnavailableException",
        _ => "InternalServerException",
    }
}

/// Streams know five exceptions only.
const fn kind_in_stream(status: u16) -> &'static str {
    match status {
        408 | 424 | 504 => "modelStreamErrorException",
        402 | 429 => "throttlingException",
        400..500 => "validationException",
        503 | 529 => "serviceUnavailableException",
        _ => "internalServerException",
    }
}

/// The body of an error answer.
pub(super) fn document(failure: &Failure<'_>, _status: u16) -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("message").text(failure.message);
    });
    json.into_bytes()
}

/// The frame that ends a stream.
pub(super) fn event(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    let headers = [
        (":exception-type", kind_in_stream(status)),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    frame(&headers, &document(failure, status))
}
