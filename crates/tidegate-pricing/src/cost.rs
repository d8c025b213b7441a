//! The charge for a usage vector.

use tidegate_types::NanoUsd;
use tidegate_types::resource::{Price, PriceTier, Unit};
use tidegate_types::usage::Usage;

use crate::price::UnitCosts;

/// What `usage` costs at `price`: the tier is chosen by all input tokens, every unit is summed
/// exactly, the sum is rounded up once. Every token is charged once: as cached or written, else
/// as audio, as an image, as text; as reasoning, else likewise. Held at [`NanoUsd::MAX`] when out
/// of range, so that an absurd count is never cheap. A price without tiers (refused by
/// [`crate::validate`]) costs that too.
#[must_use]
pub fn cost(price: &Price, usage: &Usage) -> NanoUsd {
    let Some(tier) = tier_for(price, all_input(usage)) else { return NanoUsd::MAX };
    rounded_up(exact(&UnitCosts::of(tier), usage))
}

/// All input tokens, also when a provider's parts exceed the total that it reports.
pub(crate) fn all_input(usage: &Usage) -> u64 {
    usage.input_tokens.max(usage.cached_input_tokens.saturating_add(written(usage)))
}

/// All output tokens, likewise.
pub(crate) fn all_output(usage: &Usage) -> u64 {
    usage.output_tokens.max(usage.reasoning_tokens)
}

/// All tokens written to a cache, for whatever time.
fn written(usage: &Usage) -> u64 {
    usage.cache_creation_input_tokens.max(usage.cache_creation_1h_input_tokens)
}

fn tier_for(price: &Price, input_tokens: u64) -> Option<&PriceTier> {
    price.tiers.iter().rev().find(|tier| u64::from(tier.from_input_tokens) <= input_tokens)
}

fn exact(costs: &UnitCosts, usage: &Usage) -> i128 {
    let (written, hour) = (written(usage), usage.cache_creation_1h_input_tokens);
    let fresh = all_input(usage).saturating_sub(usage.cached_input_tokens).saturating_sub(written);
    let (heard, seen, read) = split(fresh, usage.audio_input_tokens, usage.image_input_tokens);
    let visible = all_output(usage).saturating_sub(usage.reasoning_tokens);
    let (spoken, painted, told) = split(visible, usage.audio_output_tokens, usage.image_output_tokens);
    [
        (usage.cached_input_tokens, Unit::CachedInputToken),
        (written.saturating_sub(hour), Unit::CacheWriteToken),
        (hour, Unit::CacheWrite1hToken),
        (heard, Unit::AudioInputToken),
        (seen, Unit::ImageInputToken),
        (read, Unit::InputToken),
        (usage.reasoning_tokens, Unit::ReasoningToken),
        (spoken, Unit::AudioOutputToken),
        (painted, Unit::ImageOutputToken),
        (told, Unit::OutputToken),
    ]
    .into_iter()
    .map(|(count, unit)| times(count, costs.get(unit)))
    .fold(flat(costs, usage), i128::saturating_add)
}

/// Tokens as audio, images and the rest.
fn split(tokens: u64, audio: u64, images: u64) -> (u64, u64, u64) {
    let audio = audio.min(tokens);
    let images = images.min(tokens - audio);
    (audio, images, tokens - audio - images)
}

/// Everything that is not a token.
pub(crate) fn flat(costs: &UnitCosts, usage: &Usage) -> i128 {
    [
        (usage.requests, Unit::Request),
        (usage.images, Unit::Image),
        (usage.audio_seconds, Unit::AudioSecond),
        (usage.characters, Unit::Character),
        (usage.searches, Unit::Search),
        (usage.video_seconds, Unit::VideoSecond),
    ]
    .into_iter()
    .map(|(count, unit)| times(count, costs.get(unit)))
    .fold(0, i128::saturating_add)
}

/// `count` units at `pico` each. The product of 64 and 63 bits always fits.
pub(crate) fn times(count: u64, pico: i64) -> i128 {
    i128::from(count).saturating_mul(i128::from(pico))
}

/// Pico-USD to nano-USD, up, held at the largest amount.
pub(crate) fn rounded_up(pico: i128) -> NanoUsd {
    NanoUsd::from_pico_rounded_up(pico).unwrap_or(NanoUsd::MAX)
}
