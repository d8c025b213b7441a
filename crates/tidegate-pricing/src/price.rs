//! Prices: which one holds at a time, whether one is well-formed, what a unit costs in a tier.

use std::borrow::Borrow;

use tidegate_types::Timestamp;
use tidegate_types::resource::{Price, PriceTier, Unit};

/// Why a price is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// No tier at all.
    #[error("has no tiers")]
    NoTiers,
    /// Calls with few input tokens would have no price.
    #[error("the first tier must start from 0 input tokens")]
    FirstTierNotZero,
    /// A tier does not start after the one before it.
    #[error("tiers must ascend: {0} input tokens come twice or out of order")]
    NotAscending(u32),
    /// Below zero.
    #[error("the price of {0:?} is negative")]
    Negative(Unit),
    /// Named twice in one tier.
    #[error("{0:?} is priced twice in the tier from {1} input tokens")]
    Twice(Unit, u32),
    /// Input and output tokens must be priced in so many words, be it 0.
    #[error("{0:?} has no price in the tier from {1} input tokens; write 0 if it is free")]
    Missing(Unit, u32),
}

/// Checks that a price is complete: tiers ascending from 0, input and output tokens priced
/// in each, nothing negative or named twice.
///
/// # Errors
/// The first [`PriceError`] found.
pub fn validate(price: &Price) -> Result<(), PriceError> {
    let first = price.tiers.first().ok_or(PriceError::NoTiers)?;
    if first.from_input_tokens != 0 {
        return Err(PriceError::FirstTierNotZero);
    }
    for (before, tier) in price.tiers.iter().zip(price.tiers.iter().skip(1)) {
        if tier.from_input_tokens <= before.from_input_tokens {
            return Err(PriceError::NotAscending(tier.from_input_tokens));
        }
    }
    price.tiers.iter().try_for_each(validate_tier)
}

fn validate_tier(tier: &PriceTier) -> Result<(), PriceError> {
    let from = tier.from_input_tokens;
    for (place, entry) in tier.prices.iter().enumerate() {
        if entry.price.get() < 0 {
            return Err(PriceError::Negative(entry.unit));
        }
        if tier.prices.iter().take(place).any(|other| other.unit == entry.unit) {
            return Err(PriceError::Twice(entry.unit, from));
        }
    }
    for unit in [Unit::InputToken, Unit::OutputToken] {
        if named(tier, unit).is_none() {
            return Err(PriceError::Missing(unit, from));
        }
    }
    Ok(())
}

/// The price that holds at `now`: of those in force and known by then, the one with the latest
/// `valid_from`; of equal ones the latest recorded.
pub fn price_at<'a, I, P>(prices: I, now: Timestamp) -> Option<&'a P>
where
    I: IntoIterator<Item = &'a P>,
    P: Borrow<Price> + 'a,
{
    prices
        .into_iter()
        .filter(|price| {
            let price: &Price = Borrow::<Price>::borrow(*price);
            price.valid_from <= now && price.recorded_at <= now
        })
        .max_by_key(|price| {
            let price: &Price = Borrow::<Price>::borrow(*price);
            (price.valid_from, price.recorded_at, price.id)
        })
}

fn named(tier: &PriceTier, unit: Unit) -> Option<i64> {
    tier.prices.iter().find(|entry| entry.unit == unit).map(|entry| entry.price.get())
}

/// Pico-USD of each unit in one tier, absent units replaced by their nearest relatives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnitCosts {
    pub(crate) input: i64,
    pub(crate) cached: i64,
    pub(crate) cache_write: i64,
    pub(crate) output: i64,
    pub(crate) reasoning: i64,
    pub(crate) request: i64,
}

impl UnitCosts {
    /// Cached reads and cache writes cost as input, reasoning as output, a call by itself nothing.
    pub(crate) fn of(tier: &PriceTier) -> Self {
        let mut units = [None; 6];
        for entry in &tier.prices {
            if let Some(slot) = units.get_mut(entry.unit as usize) {
                *slot = Some(entry.price.get().max(0));
            }
        }
        let [input, output, cached, cache_write, reasoning, request] = units;
        let input_cost = input.or(output).unwrap_or(0);
        let output_cost = output.or(input).unwrap_or(0);
        Self {
            input: input_cost,
            cached: cached.unwrap_or(input_cost),
            cache_write: cache_write.unwrap_or(input_cost),
            output: output_cost,
            reasoning: reasoning.unwrap_or(output_cost),
            request: request.unwrap_or(0),
        }
    }
}
