//! What a call asks for, as far as the plan needs to know.

use tidegate_types::LabelHash;
use tidegate_types::resource::{Capabilities, DialectName, ModelKind, Operation, Unit, ZdrTier};
use tidegate_types::usage::Usage;

use super::measured::{Measured, Unmeasured};
use super::request_credentials::RequestCredential;
use super::wishes::Wishes;

/// Facts read from a request. No content.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    /// The model's name as the client wrote it.
    pub model_asked: &'a str,
    /// The provider or route that the path names.
    pub through: Option<&'a str>,
    /// What kind of model the surface needs.
    pub kind: ModelKind,
    /// What is asked for; `None`: unknown.
    pub operation: Option<Operation>,
    /// Features of providers that the request makes use of, by their names in requests.
    pub features: &'a [String],
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
    /// What it may use beyond tokens, for comparing prices.
    pub most: Usage,
    /// Units that it is billed by beyond those of its kind of model: each needs a price.
    pub units: &'a [Unit],
    /// Keyed hash of the end user.
    pub end_user: Option<LabelHash>,
    /// Keyed hashes of the tags (`name=value`), key tags included.
    pub tags: &'a [LabelHash],
    /// Tier that the request demands; it can only tighten.
    pub zdr_asked: ZdrTier,
    /// Credentials that it brings along.
    pub credentials: &'a [RequestCredential],
    /// What it asks of routing.
    pub wishes: Wishes<'a>,
    /// How providers fare at the time of the call.
    pub measured: &'a dyn Measured,
}

impl<'a> CallFacts<'a> {
    /// A plain text call of a language model by name, without labels or demands.
    #[must_use]
    pub const fn of_model(model_asked: &'a str) -> Self {
        Self {
            model_asked,
            through: None,
            kind: ModelKind::Language,
            operation: None,
            features: &[],
            dialect: None,
            stream: false,
            needs: Capabilities { tools: false, vision: false, reasoning: false, structured_output: false },
            max_output_tokens: None,
            input_bytes: 0,
            most: Usage::from_counts([0; 16]),
            units: &[],
            end_user: None,
            tags: &[],
            zdr_asked: ZdrTier::None,
            credentials: &[],
            wishes: Wishes::NONE,
            measured: &Unmeasured,
        }
    }
}
