//! The most that a call within given counts may cost: what a strict hold reserves.

use tidegate_types::NanoUsd;
use tidegate_types::resource::{Price, Unit};
use tidegate_types::usage::Usage;

use crate::cost::{flat, rounded_up, times};
use crate::price::UnitCosts;

/// Never less than [`crate::cost`] of any usage that `most` covers: no count is above its own in
/// `most`. Cached, cache-write (those of an hour excepted) and reasoning tokens are covered by
/// all tokens: a caller does not know them before. In each tier that could apply every token is
/// taken at its dearest unit, audio, images and hour-long writes for as many as `most` has of
/// them (`u64::MAX`: all tokens may be of that sort); of these the largest.
#[must_use]
pub fn bound(price: &Price, most: &Usage) -> NanoUsd {
    let most_input = most.input_tokens;
    let next_tiers = price.tiers.iter().skip(1).map(|tier| u64::from(tier.from_input_tokens));
    price
        .tiers
        .iter()
        .zip(next_tiers.map(Some).chain([None]))
        .filter(|(tier, _)| u64::from(tier.from_input_tokens) <= most_input)
        .map(|(tier, next)| {
            let costs = UnitCosts::of(tier);
            let input = next.map_or(most_input, |next| most_input.min(next.saturating_sub(1)));
            let input = input_bound(&costs, input, most);
            let output = output_bound(&costs, most);
            let flat = flat(&costs, &Usage { requests: most.requests.max(1), ..*most });
            input.saturating_add(output).saturating_add(flat)
        })
        .max()
        .map_or(NanoUsd::MAX, rounded_up)
}

fn input_bound(costs: &UnitCosts, tokens: u64, most: &Usage) -> i128 {
    let plain = [Unit::InputToken, Unit::CachedInputToken, Unit::CacheWriteToken];
    let special = [
        (most.cache_creation_1h_input_tokens, Unit::CacheWrite1hToken),
        (most.audio_input_tokens, Unit::AudioInputToken),
        (most.image_input_tokens, Unit::ImageInputToken),
    ];
    dearest(costs, tokens, plain, special)
}

fn output_bound(costs: &UnitCosts, most: &Usage) -> i128 {
    let plain = [Unit::OutputToken, Unit::ReasoningToken];
    let special = [
        (most.audio_output_tokens, Unit::AudioOutputToken),
        (most.image_output_tokens, Unit::ImageOutputToken),
    ];
    dearest(costs, most.output_tokens, plain, special)
}

/// `tokens` at the dearest plain unit, and so many of them as may be special at what those cost
/// more; never more than all of them at the dearest of all.
fn dearest(
    costs: &UnitCosts,
    tokens: u64,
    plain: impl IntoIterator<Item = Unit>,
    special: impl IntoIterator<Item = (u64, Unit)>,
) -> i128 {
    let base = plain.into_iter().map(|unit| costs.get(unit)).max().unwrap_or(0);
    let (mut sum, mut dearest) = (times(tokens, base), base);
    for (count, unit) in special.into_iter().filter(|(count, _)| *count > 0) {
        let cost = costs.get(unit);
        dearest = dearest.max(cost);
        sum = sum.saturating_add(times(count.min(tokens), cost.saturating_sub(base).max(0)));
    }
    sum.min(times(tokens, dearest))
}
