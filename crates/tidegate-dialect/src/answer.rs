//! Whole answers (not streams): passed through or translated, with their facts.

use bytes::Bytes;
use tidegate_types::usage::Usage;

use crate::{AnswerFault, Dialect};

/// What the gateway puts into answers that it writes itself.
#[derive(Debug, Clone)]
pub struct AnswerFacts {
    /// The call's id, the answer's id in translated answers.
    pub call_id: String,
    /// Model's name for translated answers whose provider gave none.
    pub model: String,
    /// Unix seconds.
    pub created: i64,
    /// The client asked for usage in its stream.
    pub asked_usage: bool,
}

/// A whole answer for the client.
#[derive(Debug, Clone)]
pub struct Complete {
    /// The body.
    pub bytes: Bytes,
    /// The provider's usage, when it gave a sensible one.
    pub usage: Option<Usage>,
    /// UTF-8 bytes of visible output: an upper bound of its tokens.
    pub visible_bytes: u64,
}

/// Reads a provider's whole answer and gives it in the client's dialect. Same dialect: the same bytes.
///
/// # Errors
/// [`AnswerFault`] when it is not an answer, or has a part that the client's dialect cannot carry.
pub fn complete(
    surface: Dialect,
    target: Dialect,
    body: &Bytes,
    facts: &AnswerFacts,
) -> Result<Complete, AnswerFault> {
    todo!()
}
