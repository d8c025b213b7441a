//! The most that a call within given token counts may cost: what a strict hold reserves.

use tidegate_types::NanoUsd;
use tidegate_types::resource::Price;

use crate::cost::{rounded_up, times};
use crate::price::UnitCosts;

/// Never less than [`crate::cost`] of any usage with at most `max_input_tokens` in all (cached
/// ones included), at most `max_output_tokens` (reasoning included) and one request: in each
/// tier that could apply, every token at its dearest unit; of these the largest.
#[must_use]
pub fn bound(price: &Price, max_input_tokens: u64, max_output_tokens: u64) -> NanoUsd {
    let next_tiers = price.tiers.iter().skip(1).map(|tier| u64::from(tier.from_input_tokens));
    price
        .tiers
        .iter()
        .zip(next_tiers.map(Some).chain([None]))
        .filter(|(tier, _)| u64::from(tier.from_input_tokens) <= max_input_tokens)
        .map(|(tier, next)| {
            let costs = UnitCosts::of(tier);
            let most_input =
                next.map_or(max_input_tokens, |next| max_input_tokens.min(next.saturating_sub(1)));
            let input = times(most_input, costs.input.max(costs.cached).max(costs.cache_write));
            let output = times(max_output_tokens, costs.output.max(costs.reasoning));
            input.saturating_add(output).saturating_add(i128::from(costs.request))
        })
        .max()
        .map_or(NanoUsd::MAX, rounded_up)
}
