//! Counting the tokens of a prompt without answering it: Anthropic's `count_tokens`, at providers that
//! have something like it. Nothing is billed.

use bytes::Bytes;

use crate::json::{Value, Writer};
use crate::outbound::{self, Edits};
use crate::read::CallBody;
use crate::{AnswerFault, Dialect, RequestError, codec};

/// The body for a provider of this dialect.
///
/// # Errors
/// [`RequestError::Untranslatable`] where its dialect cannot count, or not what is in the prompt.
pub fn request(call: &CallBody, target: Dialect, edits: &Edits<'_>) -> Result<Bytes, RequestError> {
    match target {
        _ if target == call.surface => outbound::request(call, target, edits),
        // Source: Google's reference of `models.countTokens`, read November 2026.
        Dialect::Gemini => {
            let mut canonical = (codec::of(call.surface).decode_call)(call)?;
            canonical.output_limit = None;
            let body = (codec::of(target).encode_call)(&canonical, edits)?;
            let inner = Value::parse(&body)?;
            let mut json = Writer::new();
            json.object(|json| {
                json.key("generateContentRequest").object(|json| {
                    json.key("model").text(&format!("models/{}", edits.model));
                    for member in inner.members() {
                        json.key(&member.key).raw(member.value.raw());
                    }
                });
            });
            Ok(json.into_bytes().into())
        }
        _ => Err(RequestError::Untranslatable {
            field: "model".to_owned(),
            why: "its provider does not count tokens ahead",
        }),
    }
}

/// The provider's count as the client expects it: `{"input_tokens": n}`.
///
/// # Errors
/// [`AnswerFault`] when the answer has no count.
pub fn complete(surface: Dialect, target: Dialect, body: &Bytes) -> Result<Bytes, AnswerFault> {
    let root = Value::parse(body).map_err(|_| AnswerFault::Malformed("not JSON"))?;
    let key = if target == Dialect::Gemini { "totalTokens" } else { "input_tokens" };
    let count = root.get(key).and_then(|count| count.whole());
    let count = count.ok_or(AnswerFault::Malformed("no count"))?;
    if surface == target {
        return Ok(body.clone());
    }
    let mut json = Writer::new();
    json.object(|json| json.key("input_tokens").whole(count).done());
    Ok(json.into_bytes().into())
}
