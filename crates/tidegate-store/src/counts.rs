//! Sums of billed units, as columns of the roll-up and of reports; changes may be negative.

use serde::Serialize;
use tidegate_types::usage::Usage;

use crate::convert::unsigned;

/// One number for each unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, sqlx::FromRow)]
pub(crate) struct Counts {
    input_tokens: i64,
    output_tokens: i64,
    cached_input_tokens: i64,
    cache_creation_input_tokens: i64,
    reasoning_tokens: i64,
    cache_creation_1h_input_tokens: i64,
    audio_input_tokens: i64,
    image_input_tokens: i64,
    audio_output_tokens: i64,
    image_output_tokens: i64,
    images: i64,
    audio_seconds: i64,
    characters: i64,
    searches: i64,
    video_seconds: i64,
}

impl Counts {
    /// Adds (`sign` 1) or takes back (-1).
    pub(crate) const fn add(&mut self, other: &Self, sign: i64) {
        self.input_tokens += other.input_tokens * sign;
        self.output_tokens += other.output_tokens * sign;
        self.cached_input_tokens += other.cached_input_tokens * sign;
        self.cache_creation_input_tokens += other.cache_creation_input_tokens * sign;
        self.reasoning_tokens += other.reasoning_tokens * sign;
        self.cache_creation_1h_input_tokens += other.cache_creation_1h_input_tokens * sign;
        self.audio_input_tokens += other.audio_input_tokens * sign;
        self.image_input_tokens += other.image_input_tokens * sign;
        self.audio_output_tokens += other.audio_output_tokens * sign;
        self.image_output_tokens += other.image_output_tokens * sign;
        self.images += other.images * sign;
        self.audio_seconds += other.audio_seconds * sign;
        self.characters += other.characters * sign;
        self.searches += other.searches * sign;
        self.video_seconds += other.video_seconds * sign;
    }

    /// As usage; what is below zero counts as nothing.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            input_tokens: unsigned(self.input_tokens),
            output_tokens: unsigned(self.output_tokens),
            cached_input_tokens: unsigned(self.cached_input_tokens),
            cache_creation_input_tokens: unsigned(self.cache_creation_input_tokens),
            reasoning_tokens: unsigned(self.reasoning_tokens),
            cache_creation_1h_input_tokens: unsigned(self.cache_creation_1h_input_tokens),
            audio_input_tokens: unsigned(self.audio_input_tokens),
            image_input_tokens: unsigned(self.image_input_tokens),
            audio_output_tokens: unsigned(self.audio_output_tokens),
            image_output_tokens: unsigned(self.image_output_tokens),
            images: unsigned(self.images),
            audio_seconds: unsigned(self.audio_seconds),
            characters: unsigned(self.characters),
            searches: unsigned(self.searches),
            video_seconds: unsigned(self.video_seconds),
            requests: 0,
        }
    }
}
