//! Bedrock's Converse: JSON in, JSON or binary frames out, signed requests or API keys.
//!
//! Shapes: the service model in AWS's SDKs. Refusals: the user guide, and errors that users report.

mod answer;
mod content;
mod frame;
mod messages;
mod request;
mod settings;
mod signature;

pub(crate) use answer::{error_body, error_event, error_type, plain, stream};
pub(crate) use request::read;

use http::HeaderMap;

use crate::ask::Invalid;

/// Model and method of `/bedrock/model/{id}/converse` or `…/converse-stream`; the id as it was sent.
pub(crate) fn route(path: &str) -> Option<(&str, bool)> {
    let (model, method) = path.strip_prefix("/bedrock/model/")?.rsplit_once('/')?;
    let stream = match method {
        "converse" => false,
        "converse-stream" => true,
        _ => return None,
    };
    (!model.is_empty() && !model.contains('/')).then_some((model, stream))
}

/// The model of `/bedrock/model/{id}/invoke`, as the service reads it.
pub(crate) fn invoked(path: &str) -> Option<String> {
    let model = path.strip_prefix("/bedrock/model/")?.strip_suffix("/invoke")?;
    (!model.is_empty() && !model.contains('/')).then(|| request::decoded(model))
}

/// A bearer key, or a signature.
pub(crate) fn sign_in(
    address: &str,
    headers: &HeaderMap,
    body: &[u8],
    accepts: impl Fn(&str) -> bool,
) -> Result<(), Invalid> {
    let refuse = |code, message: &str| {
        Err(Invalid { status: 403, message: message.to_owned(), param: None, code: Some(code) })
    };
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match given.strip_prefix("Bearer ") {
        Some(key) if accepts(key) => Ok(()),
        Some(_) => {
            refuse("AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.")
        }
        None if given.is_empty() => {
            refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
        }
        None => signature::check(address, headers, body),
    }
}
