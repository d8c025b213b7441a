//! Where an offering is processed: facts with their evidence, as those of data handling.

use serde::{Deserialize, Serialize};

use super::{Areas, Operation};
use crate::clock::Timestamp;

/// Where an offering, or a part of it, is processed. Of several facts the one that names most holds; what no
/// fact speaks of, and what has expired, is unknown and within no demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// This operation only; `None`: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Only over credentials of this region; `None`: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// All areas in which it may be processed.
    #[serde(default, skip_serializing_if = "Areas::is_empty")]
    pub areas: Areas,
    /// In place of `areas`: where the region of the credential lies, for the provider is addressed there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub regional: bool,
    /// Where this was read.
    pub source: String,
    /// When it was read.
    pub read_at: Timestamp,
    /// Counts as unknown from this time on.
    pub expires_at: Timestamp,
}
