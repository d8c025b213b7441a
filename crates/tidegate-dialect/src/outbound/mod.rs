//! What is sent to a provider: the same bytes with a few edits, or a translation.

mod caching;
mod fit;
mod passthrough;
mod stored;

use bytes::Bytes;

use crate::ai_sdk::place;
use crate::read::{CallBody, Way};
use crate::{Dialect, RequestError, codec};
pub use fit::fit;
pub(crate) use passthrough::Body;
pub use stored::{Stored, refuse_stored};

/// Under which key OpenAI-compatible providers take the output limit when the client named none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitKey {
    /// `max_completion_tokens` (OpenAI itself).
    #[default]
    MaxCompletionTokens,
    /// `max_tokens` (older compatible services).
    MaxTokens,
}

/// Values of `prompt_cache_retention` with which prompts are kept in memory only.
pub(crate) const IN_MEMORY: [&[u8]; 2] = [br#""in_memory""#, br#""in-memory""#];

/// The closed list of edits.
#[derive(Debug, Clone)]
pub struct Edits<'a> {
    /// Slug of the provider that is asked: options that the client gave for others fall away.
    pub provider: &'a str,
    /// What the provider calls the model.
    pub model: &'a str,
    /// Send at most this as the output limit (a hard budget's grant); `None` leaves the client's.
    pub output_limit: Option<u64>,
    /// Output limit where the target demands one and the client gave none.
    pub default_output_limit: u64,
    /// Key of a limit that the client did not write.
    pub limit_key: LimitKey,
    /// The provider does not know `stream_options`.
    pub no_stream_options: bool,
    /// Tell the provider not to store (ZDR).
    pub no_store: bool,
    /// The provider is Vertex AI, whose operations other than Gemini's own are written as predictions.
    pub vertex: bool,
}

/// The body for a provider of this dialect.
///
/// # Errors
/// [`RequestError::Untranslatable`] naming the field that the target cannot carry, and whatever
/// closer reading of the body brings to light. Same dialect: never fails on a body that was read.
pub fn request(call: &CallBody, target: Dialect, edits: &Edits<'_>) -> Result<Bytes, RequestError> {
    if call.surface == target {
        return Ok(passthrough::request(call, edits));
    }
    if call.way == Way::Compact {
        let why = "only providers of OpenAI's responses can make a conversation shorter";
        return Err(RequestError::Untranslatable { field: "input".to_owned(), why });
    }
    let mut canonical = (codec::of(call.surface).decode_call)(call)?;
    place::apply(&mut canonical, target, edits)?;
    if call.gateway.caching {
        caching::mark(&mut canonical, target, edits);
    }
    let names = canonical.names;
    let own_names = |error| match call.surface {
        Dialect::AiSdk => place::own_name(error),
        _ => names.spell(error),
    };
    if canonical.verbosity.is_some() && !matches!(target, Dialect::OpenaiChat | Dialect::OpenaiResponses) {
        let error = RequestError::Untranslatable { field: "verbosity".to_owned(), why: "no counterpart" };
        return Err(own_names(error));
    }
    Ok((codec::of(target).encode_call)(&canonical, edits).map_err(own_names)?.into())
}
