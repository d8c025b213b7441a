//! The charge for a usage vector.

use tidegate_types::NanoUsd;
use tidegate_types::resource::{Price, PriceTier};
use tidegate_types::usage::Usage;

use crate::price::UnitCosts;

/// What `usage` costs at `price`: the tier is chosen by all input tokens, every unit is summed
/// exactly, the sum is rounded up once. Held at [`NanoUsd::MAX`] when out of range, so that an
/// absurd count is never cheap. A price without tiers (refused by [`crate::validate`]) costs that too.
#[must_use]
pub fn cost(price: &Price, usage: &Usage) -> NanoUsd {
    let Some(tier) = tier_for(price, all_input(usage)) else { return NanoUsd::MAX };
    rounded_up(exact(&UnitCosts::of(tier), usage))
}

/// All input tokens, also when a provider's parts exceed the total that it reports.
pub(crate) fn all_input(usage: &Usage) -> u64 {
    usage.input_tokens.max(cache_tokens(usage))
}

fn cache_tokens(usage: &Usage) -> u64 {
    usage.cached_input_tokens.saturating_add(usage.cache_creation_input_tokens)
}

fn tier_for(price: &Price, input_tokens: u64) -> Option<&PriceTier> {
    price.tiers.iter().rev().find(|tier| u64::from(tier.from_input_tokens) <= input_tokens)
}

fn exact(costs: &UnitCosts, usage: &Usage) -> i128 {
    let fresh = usage.input_tokens.saturating_sub(cache_tokens(usage));
    let visible = usage.output_tokens.saturating_sub(usage.reasoning_tokens);
    [
        (fresh, costs.input),
        (usage.cached_input_tokens, costs.cached),
        (usage.cache_creation_input_tokens, costs.cache_write),
        (visible, costs.output),
        (usage.reasoning_tokens, costs.reasoning),
        (usage.requests, costs.request),
    ]
    .into_iter()
    .map(|(count, unit)| times(count, unit))
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
