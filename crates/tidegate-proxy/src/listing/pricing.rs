//! List prices as catalogues show them: USD for one unit as decimal strings, tiers by input tokens.
//!
//! The shape is that of Vercel's `/v1/models`; units that it does not know keep our names.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use tidegate_types::PicoUsd;
use tidegate_types::resource::{Price, PriceTier, Unit};

/// A price of every unit that it names.
pub(super) struct Pricing<'a>(&'a Price);

/// One price of a unit, for prompts of at least `min` and less than `max` input tokens.
#[derive(Serialize)]
struct Step {
    cost: PicoUsd,
    min: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

impl<'a> Pricing<'a> {
    pub(super) const fn of(price: &'a Price) -> Self {
        Self(price)
    }
}

impl Serialize for Pricing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tiers = &self.0.tiers;
        let mut map = serializer.serialize_map(None)?;
        for unit in Unit::ALL {
            let Some(first) = tiers.first().and_then(|tier| of_unit(tier, unit)) else { continue };
            let name = name(unit);
            map.serialize_entry(name, &first)?;
            let steps = steps(tiers, unit);
            if steps.len() > 1 {
                map.serialize_entry(&format!("{name}_tiers"), &steps)?;
            }
        }
        map.end()
    }
}

/// The prices that the AI SDK's schema has.
#[derive(Serialize)]
pub(super) struct Short {
    input: PicoUsd,
    output: PicoUsd,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_read: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write: Option<PicoUsd>,
}

impl Short {
    /// None where a model is not priced by tokens.
    pub(super) fn of(price: &Price) -> Option<Self> {
        let tier = price.tiers.first()?;
        Some(Self {
            input: of_unit(tier, Unit::InputToken)?,
            output: of_unit(tier, Unit::OutputToken)?,
            input_cache_read: of_unit(tier, Unit::CachedInputToken),
            input_cache_write: of_unit(tier, Unit::CacheWriteToken),
        })
    }
}

/// The price of a unit in a tier.
pub(super) fn of_unit(tier: &PriceTier, unit: Unit) -> Option<PicoUsd> {
    tier.prices.iter().find(|entry| entry.unit == unit).map(|entry| entry.price)
}

fn steps(tiers: &[PriceTier], unit: Unit) -> Vec<Step> {
    let next = tiers.iter().skip(1).map(|tier| Some(tier.from_input_tokens)).chain([None]);
    let step = |(tier, max): (&PriceTier, Option<u32>)| {
        Some(Step { cost: of_unit(tier, unit)?, min: tier.from_input_tokens, max })
    };
    tiers.iter().zip(next).filter_map(step).collect()
}

const fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::InputToken => "input",
        Unit::OutputToken => "output",
        Unit::CachedInputToken => "input_cache_read",
        Unit::CacheWriteToken => "input_cache_write",
        Unit::CacheWrite1hToken => "input_cache_write_1h",
        Unit::Search => "web_search",
        other => other.as_str(),
    }
}
