//! What price files call our units, and how many of them one quoted price covers.
//!
//! The names are those of genai-prices 0.2.1 (`data/prices.json`) and of LiteLLM 1.109.1
//! (`model_prices_and_context_window.json`).

use tidegate_types::PicoUsd;
use tidegate_types::resource::Unit;

use crate::decimal::{DecimalError, price_of_one, price_rounded_up};

const MILLION: u32 = 1_000_000;
const THOUSAND: u32 = 1_000;
const HOUR: u32 = 3_600;

/// A field of a price file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted {
    /// Our unit.
    pub(crate) unit: Unit,
    /// So many of it cost the quoted price.
    pub(crate) per: u32,
}

impl Quoted {
    /// The price of one unit. Hours are split into seconds and rounded up: a pico-USD is the most
    /// that this adds to a second.
    pub(crate) fn one(self, text: &str) -> Result<PicoUsd, DecimalError> {
        if self.per == HOUR { price_rounded_up(text, HOUR) } else { price_of_one(text, self.per) }
    }
}

const fn quoted(unit: Unit, per: u32) -> Option<Quoted> {
    Some(Quoted { unit, per })
}

/// A field of genai-prices.
pub(crate) fn of_genai(field: &str) -> Option<Quoted> {
    match field {
        "input_mtok" | "input_text_mtok" => quoted(Unit::InputToken, MILLION),
        "output_mtok" | "output_text_mtok" => quoted(Unit::OutputToken, MILLION),
        "cache_read_mtok" => quoted(Unit::CachedInputToken, MILLION),
        "cache_write_mtok" | "cache_write_5m_mtok" => quoted(Unit::CacheWriteToken, MILLION),
        "cache_write_1h_mtok" => quoted(Unit::CacheWrite1hToken, MILLION),
        "output_reasoning_mtok" => quoted(Unit::ReasoningToken, MILLION),
        "input_audio_mtok" => quoted(Unit::AudioInputToken, MILLION),
        "input_image_mtok" => quoted(Unit::ImageInputToken, MILLION),
        "output_audio_mtok" => quoted(Unit::AudioOutputToken, MILLION),
        "output_image_mtok" => quoted(Unit::ImageOutputToken, MILLION),
        "input_audio_hours" => quoted(Unit::AudioSecond, HOUR),
        "input_mchars" => quoted(Unit::Character, MILLION),
        "web_searches_kcount" => quoted(Unit::Search, THOUSAND),
        "requests_kcount" => quoted(Unit::Request, THOUSAND),
        _ => None,
    }
}

/// A field of LiteLLM's file, without the suffix of its tier.
pub(crate) fn of_litellm(field: &str) -> Option<Quoted> {
    match field {
        "input_cost_per_token" => quoted(Unit::InputToken, 1),
        "output_cost_per_token" => quoted(Unit::OutputToken, 1),
        "cache_read_input_token_cost" => quoted(Unit::CachedInputToken, 1),
        "cache_creation_input_token_cost" => quoted(Unit::CacheWriteToken, 1),
        "cache_creation_input_token_cost_above_1hr" => quoted(Unit::CacheWrite1hToken, 1),
        "output_cost_per_reasoning_token" => quoted(Unit::ReasoningToken, 1),
        "input_cost_per_audio_token" => quoted(Unit::AudioInputToken, 1),
        "output_cost_per_audio_token" => quoted(Unit::AudioOutputToken, 1),
        "input_cost_per_image_token" => quoted(Unit::ImageInputToken, 1),
        "output_cost_per_image_token" => quoted(Unit::ImageOutputToken, 1),
        "output_cost_per_image" => quoted(Unit::Image, 1),
        "input_cost_per_character" => quoted(Unit::Character, 1),
        "input_cost_per_second" => quoted(Unit::AudioSecond, 1),
        "output_cost_per_video_per_second" => quoted(Unit::VideoSecond, 1),
        "input_cost_per_query" => quoted(Unit::Search, 1),
        "input_cost_per_request" => quoted(Unit::Request, 1),
        _ => None,
    }
}
