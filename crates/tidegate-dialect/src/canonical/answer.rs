//! A whole answer.

use tidegate_types::usage::Usage;

use super::{Logprobs, Part};
use crate::Content;

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    EndTurn,
    /// One of the client's stop sequences.
    Sequence,
    /// The output limit.
    Limit,
    /// The context window.
    Window,
    ToolUse,
    /// Safety.
    Refusal,
}

/// A whole answer in the one form.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The provider's name of the model.
    pub(crate) model: Option<String>,
    pub(crate) parts: Vec<Part>,
    pub(crate) stop: Stop,
    /// The stop sequence that was met, when the provider tells.
    pub(crate) stop_sequence: Option<Content>,
    pub(crate) usage: Option<Usage>,
    /// Of the tokens of all its texts.
    pub(crate) logprobs: Logprobs,
}
