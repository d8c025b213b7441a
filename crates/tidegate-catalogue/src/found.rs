//! What a price file says of one model at one provider, before it has a name of ours.

use std::collections::BTreeMap;

use tidegate_types::resource::{Capabilities, ModelKind};

use crate::document::{PriceEntry, UnitPrices};

/// A model in a price file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What the provider calls it.
    pub(crate) upstream: String,
    /// Name for people.
    pub(crate) display: Option<String>,
    /// The same name with dates.
    pub(crate) dated: Vec<String>,
    /// What it is known to be, as far as the file says.
    pub(crate) facts: Facts,
    /// Prices by time.
    pub(crate) prices: Vec<PriceEntry>,
    /// What of its price could not be expressed.
    pub(crate) lost: Vec<String>,
}

/// What a model is and can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    pub(crate) kind: Option<ModelKind>,
    pub(crate) context: Option<u32>,
    pub(crate) output: Option<u32>,
    pub(crate) can: Option<Capabilities>,
}

impl Facts {
    /// These facts, and those of `other` where these are silent.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            kind: self.kind.or(other.kind),
            context: self.context.or(other.context),
            output: self.output.or(other.output),
            can: self.can.or(other.can),
        }
    }
}

/// Prices by where their tiers begin.
pub(crate) type Tiers = BTreeMap<u32, UnitPrices>;

/// Fills later tiers with what earlier ones say: a unit without a price of its own in a tier
/// costs there what it cost before.
pub(crate) fn carried_forward(mut tiers: Tiers) -> Tiers {
    let mut before = UnitPrices::new();
    for prices in tiers.values_mut() {
        for (unit, price) in &before {
            prices.entry(*unit).or_insert(*price);
        }
        before.clone_from(prices);
    }
    tiers
}
