//! Prices for tests.

use tidegate_types::resource::{Price, PriceTier, Unit, UnitPrice};
use tidegate_types::{PicoUsd, PriceId, Timestamp};

pub(crate) fn tier(from_input_tokens: u32, prices: &[(Unit, i64)]) -> PriceTier {
    let prices = prices.iter().map(|(unit, pico)| UnitPrice { unit: *unit, price: PicoUsd::new(*pico) });
    PriceTier { from_input_tokens, prices: prices.collect() }
}

pub(crate) fn price(tiers: Vec<PriceTier>) -> Price {
    Price {
        id: PriceId::from_u128(1),
        tiers,
        valid_from: Timestamp::from_seconds(0),
        recorded_at: Timestamp::from_seconds(0),
        source: String::new(),
    }
}
