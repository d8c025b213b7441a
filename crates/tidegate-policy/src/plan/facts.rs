//! What a call asks for, as far as the plan needs to know.

use tidegate_types::LabelHash;
use tidegate_types::resource::{Capabilities, DialectName, ModelKind, ZdrTier};

/// Facts read from a request. No content.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    /// The model's name as the client wrote it.
    pub model_asked: &'a str,
    /// What kind of model the surface needs.
    pub kind: ModelKind,
    /// The dialect of the surface; providers that speak it win a tie, for nothing is translated.
    pub dialect: Option<DialectName>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// What the request makes use of.
    pub needs: Capabilities,
    /// Output tokens that the client asked for at most.
    pub max_output_tokens: Option<u32>,
    /// Bytes of the request's content.
    pub input_bytes: u64,
    /// Keyed hash of the end user.
    pub end_user: Option<LabelHash>,
    /// Keyed hashes of the tags (`name=value`), key tags included.
    pub tags: &'a [LabelHash],
    /// Tier that the request demands; it can only tighten.
    pub zdr_asked: ZdrTier,
}

impl<'a> CallFacts<'a> {
    /// A plain text call of a language model by name, without labels or demands.
    #[must_use]
    pub const fn of_model(model_asked: &'a str) -> Self {
        Self {
            model_asked,
            kind: ModelKind::Language,
            dialect: None,
            stream: false,
            needs: Capabilities { tools: false, vision: false, reasoning: false, structured_output: false },
            max_output_tokens: None,
            input_bytes: 0,
            end_user: None,
            tags: &[],
            zdr_asked: ZdrTier::None,
        }
    }
}
