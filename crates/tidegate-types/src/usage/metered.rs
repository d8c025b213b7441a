//! Usage: counts of billable units.

use serde::{Deserialize, Serialize};

/// Units of one attempt. `input_tokens` includes cached and cache-write tokens;
/// `output_tokens` includes reasoning tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// All input tokens.
    pub input_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cached_input_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_creation_input_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// Calls that the provider bills as such (0 or 1).
    pub requests: u64,
}

/// Where the counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterMethod {
    /// The provider's own usage.
    Reported,
    /// Counted from what was streamed: bytes of visible output (an upper bound of its tokens).
    Counted,
    /// Nothing is known; the whole hold counts.
    Held,
    /// Nothing was billed.
    Nothing,
}
