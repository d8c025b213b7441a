//! Prices: which one holds at a time, whether one is well-formed, what a unit costs in a tier.

use std::borrow::Borrow;

use tidegate_types::Timestamp;
use tidegate_types::resource::{ModelKind, Price, PriceTier, Unit};
use tidegate_types::usage::Usage;

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
    /// Input and output tokens must be priced in so many words, be it 0, where nothing beyond
    /// tokens is.
    #[error("{0:?} has no price in the tier from {1} input tokens; write 0 if it is free")]
    Missing(Unit, u32),
}

/// What is billed instead of tokens, or beside them.
const BEYOND_TOKENS: [Unit; 5] =
    [Unit::Image, Unit::AudioSecond, Unit::Character, Unit::Search, Unit::VideoSecond];

/// Checks that a price is complete: tiers ascending from 0, each with prices of input and output
/// tokens or of something beyond tokens (images, seconds, characters, searches), nothing negative
/// or named twice.
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
    if BEYOND_TOKENS.iter().any(|unit| named(tier, *unit).is_some()) {
        return Ok(());
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

/// Whether every tier names a price by which calls of such a model can be charged: where it does
/// not, they would cost nothing, and are refused.
#[must_use]
pub fn covers(price: &Price, kind: ModelKind) -> bool {
    use Unit::{
        AudioInputToken, AudioOutputToken, AudioSecond, Character, Image, ImageOutputToken, InputToken,
        OutputToken, Search, VideoSecond,
    };
    let tokens = |tier| [InputToken, OutputToken].iter().all(|unit| named(tier, *unit).is_some());
    let any = |tier, units: &[Unit]| units.iter().any(|unit| named(tier, *unit).is_some());
    price.tiers.iter().all(|tier| match kind {
        ModelKind::Language => tokens(tier),
        ModelKind::Embedding => any(tier, &[InputToken]),
        ModelKind::Image => tokens(tier) || any(tier, &[Image, ImageOutputToken]),
        ModelKind::Speech => tokens(tier) || any(tier, &[Character, AudioOutputToken]),
        ModelKind::Transcription => tokens(tier) || any(tier, &[AudioSecond, AudioInputToken]),
        ModelKind::Reranking => any(tier, &[Search, InputToken]),
        ModelKind::Video => tokens(tier) || any(tier, &[VideoSecond]),
    })
}

/// Whether every tier names a price of this unit.
#[must_use]
pub fn names(price: &Price, unit: Unit) -> bool {
    price.tiers.iter().all(|tier| named(tier, unit).is_some())
}

/// Whether a usage has anything of what the price names: where it has not, its cost would be nothing
/// although something is billed.
#[must_use]
pub fn meters(price: &Price, usage: &Usage) -> bool {
    let counted = |unit| match unit {
        Unit::Request => false,
        Unit::Image => usage.images > 0,
        Unit::AudioSecond => usage.audio_seconds > 0,
        Unit::Character => usage.characters > 0,
        Unit::Search => usage.searches > 0,
        Unit::VideoSecond => usage.video_seconds > 0,
        _ => usage.input_tokens > 0 || usage.output_tokens > 0,
    };
    price.tiers.iter().all(|tier| tier.prices.iter().any(|entry| counted(entry.unit)))
}

/// Pico-USD of each unit in one tier, absent units replaced by their nearest relatives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnitCosts([i64; Unit::ALL.len()]);

impl UnitCosts {
    /// Cached reads and cache writes cost as input, reasoning as output, audio and images as the
    /// text that they stand for. Writes for an hour cost twice the input, which is what the one
    /// provider that sells them asks, and no less than other writes: an upper bound where nobody
    /// gave the price. Everything beyond tokens, a call by itself included, costs nothing:
    /// [`covers`] keeps away calls that would be billed by it.
    pub(crate) fn of(tier: &PriceTier) -> Self {
        let given = |unit: Unit| named(tier, unit).map(|price| price.max(0));
        let (input, output) = (given(Unit::InputToken), given(Unit::OutputToken));
        let input_cost = input.or(output).unwrap_or(0);
        let output_cost = output.or(input).unwrap_or(0);
        let write = given(Unit::CacheWriteToken).unwrap_or(input_cost);
        let mut costs = Self([0; Unit::ALL.len()]);
        let as_input = [
            Unit::InputToken,
            Unit::CachedInputToken,
            Unit::CacheWriteToken,
            Unit::AudioInputToken,
            Unit::ImageInputToken,
        ];
        as_input.into_iter().for_each(|unit| costs.set(unit, input_cost));
        costs.set(Unit::CacheWrite1hToken, write.max(input_cost.saturating_mul(2)));
        let as_output =
            [Unit::OutputToken, Unit::ReasoningToken, Unit::AudioOutputToken, Unit::ImageOutputToken];
        as_output.into_iter().for_each(|unit| costs.set(unit, output_cost));
        // From behind: of a unit that stands there twice the first counts.
        tier.prices.iter().rev().for_each(|entry| costs.set(entry.unit, entry.price.get().max(0)));
        costs
    }

    fn set(&mut self, unit: Unit, cost: i64) {
        if let Some(place) = self.0.get_mut(unit as usize) {
            *place = cost;
        }
    }

    /// Pico-USD of one such unit.
    pub(crate) fn get(&self, unit: Unit) -> i64 {
        self.0.get(unit as usize).copied().unwrap_or(i64::MAX)
    }
}
