//! Gemini, as a surface, as a target and passed through.

mod answers;
mod requests;
mod streams;
mod surface;

use bytes::Bytes;
use tidegate_dialect::outbound::{self, Edits};
use tidegate_dialect::read::{self, CallBody, Outside};
use tidegate_dialect::{Dialect, RequestError};

use crate::support::edits;

const GEMINI: Dialect = Dialect::Gemini;

/// Reads a body; Gemini's names its model in the path.
fn call(surface: Dialect, body: impl Into<Bytes>) -> Result<CallBody, RequestError> {
    let outside = match surface {
        GEMINI => Outside { model: Some("gemini-asked"), stream: Some(false), ..Outside::default() },
        _ => Outside::default(),
    };
    read::call(surface, outside, body.into())
}

/// The body as the provider gets it.
fn sent_with(
    surface: Dialect,
    target: Dialect,
    edits: &Edits<'_>,
    body: impl Into<Bytes>,
) -> Result<String, RequestError> {
    let bytes = outbound::request(&call(surface, body)?, target, edits)?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

fn sent(surface: Dialect, target: Dialect, body: impl Into<Bytes>) -> Result<String, RequestError> {
    sent_with(surface, target, &edits("gemini-3-flash"), body)
}
