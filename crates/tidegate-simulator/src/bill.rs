//! The simulator's own bill. Nothing here is shared with the gateway.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::complete::Counts;

/// What a model costs, in pico-USD per token.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// Per input token.
    pub input: i64,
    /// Per output token, hidden ones included.
    pub output: i64,
    /// Per input token read from the cache.
    pub cached_input: i64,
}

/// Counts on the bill.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct BilledUsage {
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Of them read from the cache.
    pub cached_input_tokens: u64,
    /// Of them written to the cache; they cost as the others.
    #[serde(default)]
    pub cache_creation_input_tokens: u64,
    /// Output tokens, hidden ones included.
    pub output_tokens: u64,
    /// Of them spent on reasoning.
    pub reasoning_tokens: u64,
    /// Images made.
    #[serde(default)]
    pub images: u64,
    /// Begun seconds of audio.
    #[serde(default)]
    pub audio_seconds: u64,
    /// Characters spoken.
    #[serde(default)]
    pub characters: u64,
    /// Search units.
    #[serde(default)]
    pub searches: u64,
    /// Seconds of video.
    #[serde(default)]
    pub video_seconds: u64,
}

/// Pico-USD of what is no token, the same for all models.
#[derive(Debug, Clone, Copy)]
pub struct UnitPrices;

impl UnitPrices {
    /// An image: $0.04.
    pub const IMAGE: i64 = 40_000_000_000;
    /// A begun second of audio: $0.006 a minute.
    pub const AUDIO_SECOND: i64 = 100_000_000;
    /// A character: $15 a million.
    pub const CHARACTER: i64 = 15_000_000;
    /// A search unit: $2 a thousand.
    pub const SEARCH: i64 = 2_000_000_000;
    /// A second of video: $0.10.
    pub const VIDEO_SECOND: i64 = 100_000_000_000;
}

/// One line of the bill.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BilledCall {
    /// The caller's id for the request (`x-client-request-id`), or the simulator's own.
    pub call_id: String,
    /// `sim-openai`, `sim-anthropic`, `sim-bedrock` …
    pub provider: String,
    /// The model.
    pub model: String,
    /// The counts.
    pub usage: BilledUsage,
    /// The amount.
    pub nano_usd: i64,
    /// Whether the answer was delivered to its end.
    pub completed: bool,
}

/// The whole bill.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Bill {
    /// Sum of all lines.
    pub total_nano_usd: i64,
    /// Lines in the order of the calls.
    pub calls: Vec<BilledCall>,
}

/// Prices of the models.
#[derive(Debug, Clone)]
pub(crate) struct Tariff {
    models: BTreeMap<String, ModelPrice>,
    otherwise: ModelPrice,
}

impl Tariff {
    pub(crate) fn new(models: BTreeMap<String, ModelPrice>) -> Self {
        // $0.50 and $2.00 a million, half price for cached input.
        let otherwise = ModelPrice { input: 500_000, output: 2_000_000, cached_input: 250_000 };
        Self { models, otherwise }
    }

    pub(crate) fn set(&mut self, prices: BTreeMap<String, ModelPrice>) {
        self.models.extend(prices);
    }

    pub(crate) fn models(&self) -> Vec<String> {
        self.models.keys().cloned().collect()
    }

    /// Prices a call: exact in pico-USD, then rounded up to whole nano-USD.
    pub(crate) fn nano_usd(&self, model: &str, counts: Counts) -> i64 {
        let price = self.models.get(model).unwrap_or(&self.otherwise);
        let fresh = counts.input.saturating_sub(counts.cached);
        let parts = [
            (fresh, price.input),
            (counts.cached, price.cached_input),
            (counts.output, price.output),
            (counts.units.images, UnitPrices::IMAGE),
            (counts.units.audio_seconds, UnitPrices::AUDIO_SECOND),
            (counts.units.characters, UnitPrices::CHARACTER),
            (counts.units.searches, UnitPrices::SEARCH),
            (counts.units.video_seconds, UnitPrices::VIDEO_SECOND),
        ];
        let pico: i128 = parts.iter().map(|(units, price)| i128::from(*units) * i128::from(*price)).sum();
        i64::try_from((pico + 999) / 1000).unwrap_or(i64::MAX)
    }
}
