//! Errors as OpenAI writes them: `{"error": {message, type, param, code}}`.

use tidegate_types::usage::RefusalCause;

use crate::json::Writer;
use crate::refusal::{Failure, types};

/// The body of an error answer.
pub(crate) fn document(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    let (kind, _) = types(failure.cause, status);
    let code = match failure.cause {
        RefusalCause::NotPriced => "model_not_priced",
        _ => kind,
    };
    let mut json = Writer::new();
    json.object(|json| {
        json.key("error").object(|json| {
            json.key("message").text(failure.message).key("type").text(kind);
            json.key("param");
            match failure.param {
                Some(param) => json.text(param),
                None => json.null(),
            };
            json.key("code").text(failure.code.unwrap_or(code));
        });
    });
    json.into_bytes()
}

/// The event that ends a stream.
pub(crate) fn event(failure: &Failure<'_>, status: u16) -> Vec<u8> {
    [b"data: ".as_slice(), &document(failure, status), b"\n\n"].concat()
}
