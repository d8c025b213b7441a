//! What an import would change: pure, so that a dry run and the import itself agree.
//!
//! Providers, models and offerings are made where they are missing; prices are appended where
//! the catalogue says otherwise than the newest price of that date. Nothing is deleted, and
//! nothing that an administrator has set is taken back.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_types::resource::{Model, Offering, Price, Provider};
use tidegate_types::{ModelName, OfferingId, ProviderSlug};

use crate::document::{Catalogue, ModelEntry, OfferingEntry, PriceEntry, ProviderEntry};

/// What the system's catalogue holds.
#[derive(Debug, Clone, Copy)]
pub struct Existing<'a> {
    /// Providers.
    pub providers: &'a [Provider],
    /// Models.
    pub models: &'a [Model],
    /// Offerings with all their prices.
    pub offerings: &'a [Offering],
}

/// What is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan<'a> {
    /// Providers to make.
    pub providers: Vec<&'a ProviderEntry>,
    /// Models to make.
    pub models: Vec<&'a ModelEntry>,
    /// Offerings to make, with all their prices.
    pub offerings: Vec<&'a OfferingEntry>,
    /// Prices to append to offerings that exist.
    pub prices: Vec<(OfferingId, Vec<&'a PriceEntry>)>,
    /// Offerings that need nothing.
    pub unchanged: usize,
}

impl Plan<'_> {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
            && self.models.is_empty()
            && self.offerings.is_empty()
            && self.prices.is_empty()
    }
}

/// Compares a catalogue with what exists.
#[must_use]
pub fn plan<'a>(catalogue: &'a Catalogue, existing: Existing<'_>) -> Plan<'a> {
    let slugs: BTreeSet<&ProviderSlug> = existing.providers.iter().map(|provider| &provider.slug).collect();
    let names: BTreeSet<&ModelName> = existing.models.iter().map(|model| &model.name).collect();
    let offerings: BTreeMap<(&ModelName, &ProviderSlug), &Offering> =
        existing.offerings.iter().map(|offering| ((&offering.model, &offering.provider), offering)).collect();
    let mut plan = Plan {
        providers: catalogue.providers.iter().filter(|entry| !slugs.contains(&entry.slug)).collect(),
        models: catalogue.models.iter().filter(|entry| !names.contains(&entry.name)).collect(),
        ..Plan::default()
    };
    for entry in &catalogue.offerings {
        match offerings.get(&(&entry.model, &entry.provider)) {
            None => plan.offerings.push(entry),
            Some(offering) => {
                let missing: Vec<&PriceEntry> =
                    entry.prices.iter().filter(|price| !holds(&offering.prices, price)).collect();
                if missing.is_empty() {
                    plan.unchanged += 1;
                } else {
                    plan.prices.push((offering.id, missing));
                }
            }
        }
    }
    plan
}

/// Whether the newest of the prices from that date on says the same.
fn holds(prices: &[Price], wanted: &PriceEntry) -> bool {
    let same_date = prices.iter().filter(|price| price.valid_from == wanted.valid_from);
    let newest = same_date.max_by_key(|price| (price.recorded_at, price.id));
    newest.is_some_and(|price| sorted(price) == wanted.tiers)
}

fn sorted(price: &Price) -> BTreeMap<u32, crate::UnitPrices> {
    let tier = |tier: &tidegate_types::resource::PriceTier| {
        let prices = tier.prices.iter().map(|entry| (entry.unit, entry.price)).collect();
        (tier.from_input_tokens, prices)
    };
    price.tiers.iter().map(tier).collect()
}
