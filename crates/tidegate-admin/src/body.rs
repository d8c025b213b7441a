//! Reading request bodies and query strings: clear refusals that name the field, and never
//! repeat a value (a mistyped credential must not come back in an error).

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A JSON body of exactly the declared fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        expect_json(request.headers())?;
        read(&read_bytes(request, state).await?).map(Self)
    }
}

/// Reads a whole body within [`MAX_BODY_BYTES`].
pub(crate) async fn read_bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("A request body has at most {MAX_BODY_BYTES} bytes."),
        ),
        _ => Problem::malformed("body_unreadable", "The request's body broke off."),
    })
}

/// Refuses with 415 what is not declared as JSON.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(is_json);
    if json { Ok(()) } else { Err(not_json()) }
}

/// 415.
pub(crate) fn not_json() -> Problem {
    let detail = "Send JSON with `content-type: application/json`.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "application/merge-patch+json"
}

/// Reads a JSON text into `T`; field errors carry the path.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, error.inner())
    })?;
    reader.end().map_err(|error| refuse(".", &error))?;
    Ok(value)
}

/// The refusal for a body that did not become what it should.
pub(crate) fn refuse(path: &str, error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => {
            let (field, message) = describe(path, &error.to_string());
            Problem::malformed("invalid_request", "The request's body has an invalid field.")
                .with(field, message)
        }
        Category::Syntax | Category::Eof | Category::Io => Problem::malformed(
            "invalid_json",
            format!("The body is not valid JSON (line {}, column {}).", error.line(), error.column()),
        ),
    }
}

/// The field and a message without the offending value.
fn describe(path: &str, message: &str) -> (String, String) {
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    let parent = if path == "." { "" } else { path };
    let below = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    // The path of an unknown or repeated field already ends with it.
    let named = |name: &str| {
        let last = parent.rsplit('.').next() == Some(name);
        clip(&if last { parent.to_owned() } else { below(name) })
    };
    if let Some(name) = quoted(message, "missing field `") {
        return (below(name), "is required".to_owned());
    }
    if let Some(name) = quoted(message, "unknown field `") {
        return (named(name), "is not a field here".to_owned());
    }
    if let Some(name) = quoted(message, "duplicate field `") {
        return (named(name), "is given twice".to_owned());
    }
    let field = if parent.is_empty() { "body".to_owned() } else { clip(parent) };
    let text = match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if message.starts_with("data did not match any variant") => {
            "has none of the allowed forms".to_owned()
        }
        None => message.to_owned(),
    };
    (field, text)
}

fn quoted<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.split('`').next()
}

/// A client's own field name, cut to a length that is safe to repeat.
fn clip(name: &str) -> String {
    name.chars().take(120).collect()
}

/// A query string of exactly the declared parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found =
            axum::extract::Query::<T>::try_from_uri(&own_parameters(&parts.uri)).map_err(|rejection| {
                let text = rejection.body_text();
                let inner = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, inner)| inner);
                let (path, message) = inner.split_once(": ").unwrap_or(("", inner));
                let (field, message) = describe(path, message);
                Problem::malformed("invalid_request", "The query string has an invalid parameter.")
                    .with(field, message)
            })?;
        Ok(Self(found.0))
    }
}

/// The query string without what the guard reads for every endpoint.
fn own_parameters(uri: &Uri) -> Uri {
    let query = uri.query().unwrap_or_default();
    let own =
        query.split('&').filter(|pair| !pair.starts_with("organization=") && !pair.starts_with("wait="));
    let own: Vec<&str> = own.collect();
    format!("/?{}", own.join("&")).parse().unwrap_or_default()
}

/// An id or name in the path; one that cannot exist is simply not found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: std::str::FromStr + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(text) = axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found("object"))?;
        text.parse().map(Self).map_err(|_| Problem::not_found("object"))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only read")]
        limits: Limits,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        #[expect(dead_code, reason = "only read")]
        concurrency: u32,
    }

    #[test]
    fn a_refusal_names_the_field_and_never_repeats_a_value() {
        let cases = [
            (r#"{"limits":{"concurrency":"sk-canary"}}"#, "limits.concurrency", "expected u32"),
            (r#"{"limits":"sk-canary, expected nothing"}"#, "limits", "expected struct Limits"),
            (r#"{"limits":{}}"#, "limits.concurrency", "is required"),
            (r#"{"limits":{"concurency":1}}"#, "limits.concurency", "is not a field here"),
            (r#"{"limits":{"concurrency":1,"concurrency":2}}"#, "limits.concurrency", "is given twice"),
            (r"[]", "body", "limits"),
        ];
        for (text, field, message) in cases {
            let problem = read::<Body>(text.as_bytes()).unwrap_err();
            let shown = format!("{problem:?}");
            assert!(!shown.contains("canary"), "{shown}");
            if field != "body" {
                assert_eq!(problem.errors[0].field, field, "{text}");
                assert_eq!(problem.errors[0].message, message, "{text}");
            }
        }
        assert_eq!(read::<Body>(b"{").unwrap_err().code, "invalid_json");
        assert_eq!(read::<Body>(br#"{"limits":{"concurrency":1}} x"#).unwrap_err().code, "invalid_json");
    }
}
