//! Prices: what is charged for, and how much a unit costs.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::PriceId;
use crate::money::PicoUsd;

/// What is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One input token that was neither read from nor written to a cache.
    InputToken,
    /// One output token, reasoning included unless it has a price of its own.
    OutputToken,
    /// One input token read from the provider's cache.
    CachedInputToken,
    /// One input token written to the provider's cache.
    CacheWriteToken,
    /// One reasoning token.
    ReasoningToken,
    /// One call.
    Request,
    /// One input token written to the provider's cache for an hour.
    #[serde(rename = "cache_write_1h_token")]
    CacheWrite1hToken,
    /// One input token of audio.
    AudioInputToken,
    /// One input token of an image.
    ImageInputToken,
    /// One output token of audio.
    AudioOutputToken,
    /// One output token of an image.
    ImageOutputToken,
    /// One image made.
    Image,
    /// One second of audio transcribed.
    AudioSecond,
    /// One character spoken.
    Character,
    /// One search, in the provider's own units.
    Search,
    /// One second of video made.
    VideoSecond,
}

impl Unit {
    /// Every unit, in the order of their declaration.
    pub const ALL: [Self; 16] = [
        Self::InputToken,
        Self::OutputToken,
        Self::CachedInputToken,
        Self::CacheWriteToken,
        Self::ReasoningToken,
        Self::Request,
        Self::CacheWrite1hToken,
        Self::AudioInputToken,
        Self::ImageInputToken,
        Self::AudioOutputToken,
        Self::ImageOutputToken,
        Self::Image,
        Self::AudioSecond,
        Self::Character,
        Self::Search,
        Self::VideoSecond,
    ];

    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InputToken => "input_token",
            Self::OutputToken => "output_token",
            Self::CachedInputToken => "cached_input_token",
            Self::CacheWriteToken => "cache_write_token",
            Self::ReasoningToken => "reasoning_token",
            Self::Request => "request",
            Self::CacheWrite1hToken => "cache_write_1h_token",
            Self::AudioInputToken => "audio_input_token",
            Self::ImageInputToken => "image_input_token",
            Self::AudioOutputToken => "audio_output_token",
            Self::ImageOutputToken => "image_output_token",
            Self::Image => "image",
            Self::AudioSecond => "audio_second",
            Self::Character => "character",
            Self::Search => "search",
            Self::VideoSecond => "video_second",
        }
    }

    /// Whether it is some sort of token.
    #[must_use]
    pub const fn is_token(self) -> bool {
        !matches!(
            self,
            Self::Request
                | Self::Image
                | Self::AudioSecond
                | Self::Character
                | Self::Search
                | Self::VideoSecond
        )
    }
}

/// Price of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitPrice {
    /// The unit.
    pub unit: Unit,
    /// USD per unit.
    pub price: PicoUsd,
}

/// Prices that hold for calls with at least so many input tokens (cached ones included).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceTier {
    /// From this many input tokens on; the first tier has 0.
    pub from_input_tokens: u32,
    /// Prices; a unit that is absent costs as its nearest relative (see `tidegate-pricing`).
    pub prices: Vec<UnitPrice>,
}

/// An immutable price of an offering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Identity; travels on every billing event.
    pub id: PriceId,
    /// Tiers, ascending, the first from 0.
    pub tiers: Vec<PriceTier>,
    /// In force from this time on.
    pub valid_from: Timestamp,
    /// When we learned of it.
    pub recorded_at: Timestamp,
    /// Where it was read.
    pub source: String,
}
