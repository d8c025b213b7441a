//! Reads a client's body just far enough to plan, admit and forward it: facts and places, no tree.
//!
//! Duplicate keys at every level that is interpreted here are refused, because two readers could
//! disagree about them. Knows nothing of policies: it reports findings, others refuse.

mod anthropic;
mod gateway;
mod labels;
mod messages;
mod openai;
mod place;
mod size;

use bytes::Bytes;

pub use gateway::GatewayOptions;
pub use labels::Labels;
pub use place::{Fields, Path};
pub use size::{InputBound, InputSize};

use crate::json::Span;
use crate::{Dialect, RequestError};

/// What a call needs from a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Tools are declared.
    pub tools: bool,
    /// Images are in the input.
    pub vision: bool,
    /// Reasoning is switched on explicitly.
    pub reasoning: bool,
    /// The output must follow a schema or be JSON.
    pub structured_output: bool,
}

/// Why a field was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// Not in the registry: may bill or retain for all we know.
    Unregistered,
    /// Can bill beyond tokens at their list price.
    Bills,
    /// Lets the provider keep content.
    Retains,
}

/// A field that a strict budget or ZDR may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// JSON path; keys chosen by the client are cut at 64 bytes.
    pub path: String,
    /// Why it was noted.
    pub kind: FindingKind,
}

/// A client's body: its facts, and where the editable things lie.
#[derive(Debug, Clone)]
pub struct CallBody {
    /// The dialect it is written in.
    pub surface: Dialect,
    /// The model as asked for.
    pub model: String,
    /// A stream was asked for.
    pub stream: bool,
    /// The client's own limit of output tokens (the lower one when it gave two).
    pub output_limit: Option<u64>,
    /// Reasoning tokens that the limit must leave room for.
    pub reasoning_budget: Option<u64>,
    /// Number of answers asked for (`n`).
    pub answers: u64,
    /// The client asked for usage in the stream.
    pub asked_usage: bool,
    /// What the model must be able to do.
    pub needs: Needs,
    /// End user and tags, from named fields.
    pub labels: Labels,
    /// Options for the gateway itself.
    pub gateway: GatewayOptions,
    /// Fields that a strict budget or ZDR may refuse.
    pub findings: Vec<Finding>,
    /// How large the input is, for bounds.
    pub input: InputSize,
    pub(crate) bytes: Bytes,
    pub(crate) spots: Spots,
}

impl CallBody {
    /// The body as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The first finding of one of these kinds.
    #[must_use]
    pub fn finding(&self, kinds: &[FindingKind]) -> Option<&Finding> {
        self.findings.iter().find(|finding| kinds.contains(&finding.kind))
    }
}

/// Where editable things lie in the bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spots {
    /// The whole object.
    pub(crate) root: Option<Span>,
    /// Members of assistant messages that answers of ours may have put there, ready to be taken out.
    pub(crate) echoes: Vec<(&'static str, Span)>,
}

/// Reads a client's body.
///
/// # Errors
/// [`RequestError`] with the JSON path of what is wrong; the answer is a 400.
pub fn call(surface: Dialect, body: Bytes) -> Result<CallBody, RequestError> {
    todo!()
}
