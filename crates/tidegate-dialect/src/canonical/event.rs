//! A stream's events. Blocks follow each other: at most one is open.

use tidegate_types::usage::Usage;

use super::{Logprobs, Stop};
use crate::Content;
use crate::refusal::UpstreamError;

/// One event.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The answer begins. The provider's name of the model, and its first counts.
    Start { model: Option<String>, usage: Option<Usage> },
    /// A block begins.
    Open(Block),
    /// The open block grows.
    Delta(Delta),
    /// Log probabilities of the text that comes next in the open block.
    Logprobs(Logprobs),
    /// The open block ends.
    Close,
    /// Why the model stopped.
    Finish { stop: Stop, sequence: Option<Content> },
    /// The counts of the whole answer, final once `Finish` is there.
    Usage(Usage),
    /// A sign of life.
    Ping,
    /// The provider's error.
    Error(UpstreamError),
    /// The provider's end marker.
    End,
}

/// What kind of block begins.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    Text,
    Thinking,
    RedactedThinking { data: Content },
    ToolUse { id: String, name: String },
}

/// How a block grows.
#[derive(Debug, Clone)]
pub(crate) enum Delta {
    Text(Content),
    Thinking(Content),
    /// The signature of the thinking block.
    Signature(Content),
    /// A piece of the tool's input as JSON text.
    Input(Content),
}
