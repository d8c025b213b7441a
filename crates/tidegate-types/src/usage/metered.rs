//! Usage: counts of billable units.

use serde::{Deserialize, Serialize};

/// Units of one attempt. `input_tokens` includes cached, cache-write, audio and image tokens, and
/// `cache_creation_input_tokens` those that live an hour; `output_tokens` includes reasoning,
/// audio and image tokens.
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
    /// Cache-write tokens that live for an hour.
    pub cache_creation_1h_input_tokens: u64,
    /// Input tokens that are audio.
    pub audio_input_tokens: u64,
    /// Input tokens that are images.
    pub image_input_tokens: u64,
    /// Output tokens that are audio.
    pub audio_output_tokens: u64,
    /// Output tokens that are images.
    pub image_output_tokens: u64,
    /// Images made.
    pub images: u64,
    /// Begun seconds of audio that were transcribed.
    pub audio_seconds: u64,
    /// Characters that were spoken.
    pub characters: u64,
    /// Searches: of the web, or of documents to rank (in the provider's own units).
    pub searches: u64,
    /// Begun seconds of video that were made.
    pub video_seconds: u64,
}

impl Usage {
    /// What two attempts used together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sums = self.counts();
        for (sum, more) in sums.iter_mut().zip(other.counts()) {
            *sum = sum.saturating_add(more);
        }
        Self::from_counts(sums)
    }

    /// Every count, in the order of the fields.
    #[must_use]
    pub const fn counts(&self) -> [u64; 16] {
        [
            self.input_tokens,
            self.output_tokens,
            self.cached_input_tokens,
            self.cache_creation_input_tokens,
            self.reasoning_tokens,
            self.requests,
            self.cache_creation_1h_input_tokens,
            self.audio_input_tokens,
            self.image_input_tokens,
            self.audio_output_tokens,
            self.image_output_tokens,
            self.images,
            self.audio_seconds,
            self.characters,
            self.searches,
            self.video_seconds,
        ]
    }

    /// The usage with these counts.
    #[must_use]
    pub const fn from_counts(counts: [u64; 16]) -> Self {
        let [
            input_tokens,
            output_tokens,
            cached_input_tokens,
            cache_creation_input_tokens,
            reasoning_tokens,
            requests,
            cache_creation_1h_input_tokens,
            audio_input_tokens,
            image_input_tokens,
            audio_output_tokens,
            image_output_tokens,
            images,
            audio_seconds,
            characters,
            searches,
            video_seconds,
        ] = counts;
        Self {
            input_tokens,
            output_tokens,
            cached_input_tokens,
            cache_creation_input_tokens,
            reasoning_tokens,
            requests,
            cache_creation_1h_input_tokens,
            audio_input_tokens,
            image_input_tokens,
            audio_output_tokens,
            image_output_tokens,
            images,
            audio_seconds,
            characters,
            searches,
            video_seconds,
        }
    }
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
