//! Gemini's `generateContent`, at AI Studio's and at Vertex AI's paths.
//!
//! Shapes and refusals: the references of both APIs, and errors that users report.

mod answer;
mod contents;
mod message;
mod request;
mod schema;
mod tools;

pub(crate) use answer::{counted, error_body, error_event, plain, stream};

use http::HeaderMap;
use serde_json::Value;

use crate::ask::{Ask, Invalid};

/// What a call's path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route<'p> {
    pub(crate) model: &'p str,
    pub(crate) method: Method,
    /// Vertex AI rather than AI Studio.
    pub(crate) vertex: bool,
    query: &'p str,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Generate,
    Stream,
    Count,
}

impl<'p> Route<'p> {
    /// `/gemini/v1beta/models/{model}:{method}`, or the same behind
    /// `/gemini/v1/projects/{p}/locations/{l}/publishers/google`.
    pub(crate) fn read(address: &'p str) -> Option<Self> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let (version, rest) = path.strip_prefix("/gemini/")?.split_once('/')?;
        if !matches!(version, "v1" | "v1beta" | "v1beta1") {
            return None;
        }
        let (vertex, rest) = match rest.strip_prefix("models/") {
            Some(rest) => (false, rest),
            None => (true, vertex_model(rest)?),
        };
        let (model, method) = rest.split_once(':')?;
        let method = match method {
            "generateContent" => Method::Generate,
            "streamGenerateContent" => Method::Stream,
            "countTokens" => Method::Count,
            _ => return None,
        };
        (!model.is_empty() && !model.contains('/')).then_some(Self { model, method, vertex, query })
    }
}

/// What stands after `publishers/google/models/`; project and location may be left out (express mode).
fn vertex_model(rest: &str) -> Option<&str> {
    let rest = match rest.strip_prefix("projects/") {
        Some(rest) => {
            let (_, rest) = rest.split_once("/locations/")?;
            rest.split_once('/')?.1
        }
        None => rest,
    };
    rest.strip_prefix("publishers/google/models/")
}

/// Reads a request to this address, or says what a real service would say.
pub(crate) fn read(address: &str, body: &Value) -> Result<Ask, Invalid> {
    let not_found = || Invalid { status: 404, ..Invalid::new("Requested entity was not found.", "model") };
    let route = Route::read(address).ok_or_else(not_found)?;
    if route.method == Method::Stream && !route.query.split('&').any(|pair| pair == "alt=sse") {
        return Err(Invalid::new("Streams are simulated with alt=sse only.", "alt"));
    }
    request::read(&route, body)
}

/// Whether only tokens are to be counted.
pub(crate) fn counts(address: &str) -> bool {
    Route::read(address).is_some_and(|route| route.method == Method::Count)
}

/// AI Studio takes keys, Vertex AI tokens of an account and keys; each has its own words for a wrong one.
pub(crate) fn sign_in(
    address: &str,
    headers: &HeaderMap,
    accepts: impl Fn(&str) -> bool,
) -> Result<(), Invalid> {
    let route = Route::read(address);
    let query = route.map_or("", |route| route.query);
    let vertex = route.is_some_and(|route| route.vertex);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer ")).filter(|_| vertex);
    let key =
        header("x-goog-api-key").or_else(|| query.split('&').find_map(|pair| pair.strip_prefix("key=")));
    let refuse = |status, message: &str, code| {
        Err(Invalid { status, message: message.to_owned(), param: None, code: Some(code) })
    };
    match token.or(key) {
        Some(key) if accepts(key) => Ok(()),
        None if vertex => refuse(
            401,
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
            "CREDENTIALS_MISSING",
        ),
        None => refuse(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
            "API_KEY_MISSING",
        ),
        Some(_) if vertex => {
            refuse(401, "Request had invalid authentication credentials.", "ACCESS_TOKEN_TYPE_UNSUPPORTED")
        }
        Some(_) => refuse(400, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID"),
    }
}

/// The generation that wants its thought signatures back.
fn signs_thoughts(model: &str) -> bool {
    model.contains("gemini-3")
}

/// What this simulator signs with, and what stands for the signature of another model's call.
const SIGNATURE: &str = "c2ltLWdlbWluaQ==";
const SKIPPED: [&str; 2] =
    ["c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=", "skip_thought_signature_validator"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_paths_are_read() {
        let route = |path| Route::read(path).map(|route| (route.model, route.method, route.vertex));
        let model = Some(("m", Method::Stream, true));
        assert_eq!(route("/gemini/v1beta/models/m:generateContent"), Some(("m", Method::Generate, false)));
        assert_eq!(
            route("/gemini/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent"),
            model
        );
        assert_eq!(route("/gemini/v1beta1/publishers/google/models/m:streamGenerateContent"), model);
        assert_eq!(route("/gemini/v1beta/models/m:countTokens"), Some(("m", Method::Count, false)));
        for path in [
            "/gemini/v1beta/models/m:embed",
            "/gemini/v2/models/m:countTokens",
            "/v1beta/models/m:countTokens",
        ] {
            assert_eq!(route(path), None);
        }
    }
}
