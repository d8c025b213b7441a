//! An offering: prices shared by reference, data-handling facts as a tier that expires.

use std::sync::Arc;

use tidegate_types::resource::{DataHandling, Offering as Source, Price};
use tidegate_types::{ModelName, OfferingId, OrganizationId, ProviderSlug, Timestamp};

use super::handling::Handling;
use super::locations::Locations;
use super::{Piece, text};
use crate::reason::Reason;

/// A model at a provider, as calls meet it.
#[derive(Debug, Clone)]
pub struct Offering {
    /// Its owner; system for the shared catalogue.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: OfferingId,
    /// The model.
    pub model: ModelName,
    /// The provider.
    pub provider: ProviderSlug,
    /// What the provider calls the model.
    pub upstream_name: Arc<str>,
    /// Most output tokens here; `None`: the model's.
    pub max_output_tokens: Option<u32>,
    /// Not used while false.
    pub enabled: bool,
    /// Whether all billed output is visible in the stream (no hidden reasoning).
    pub output_visible: bool,
    prices: Box<[Arc<Price>]>,
    handling: Option<Handling>,
    locations: Locations,
}

impl Offering {
    /// The price that holds at `now`.
    #[must_use]
    pub fn price_at(&self, now: Timestamp) -> Option<&Arc<Price>> {
        tidegate_pricing::price_at(self.prices.iter(), now)
    }

    /// What is known of how data is handled there; `None`: nothing, which meets no demand.
    #[must_use]
    pub const fn handling(&self) -> Option<&Handling> {
        self.handling.as_ref()
    }

    /// What is known of where it is processed.
    pub(crate) const fn locations(&self) -> &Locations {
        &self.locations
    }
}

impl Piece for Offering {
    type Source = Source;
    const MOST: usize = 20_000;

    fn faults(source: &Source) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::token("upstream_name", &source.upstream_name, &mut faults);
        text::at_most("prices", source.prices.len(), 1_000, &mut faults);
        if source.max_output_tokens == Some(0) {
            faults.push(Reason::new("max_output_tokens", "must be at least 1"));
        }
        for (place, price) in source.prices.iter().enumerate() {
            if let Err(error) = tidegate_pricing::validate(price) {
                faults.push(Reason::new(format!("prices[{place}]"), error.to_string()));
            }
        }
        Locations::faults(&source.locations, &mut faults);
        if let Some(facts) = &source.data_handling {
            handling_faults(facts, &mut faults);
        }
        faults
    }

    fn weight(source: &Source) -> usize {
        let facts = source.data_handling.as_ref().map_or(0, |facts| facts.also.len() * 256);
        let facts = facts + source.locations.len() * 256;
        let notes = source.notes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let entries: usize =
            source.prices.iter().flat_map(|price| &price.tiers).map(|tier| tier.prices.len()).sum();
        notes + facts + entries * 16 + source.upstream_name.len()
    }

    fn build(source: Source, _n: u64) -> Self {
        Self {
            organization_id: source.organization_id,
            id: source.id,
            model: source.model,
            provider: source.provider,
            upstream_name: source.upstream_name.into(),
            max_output_tokens: source.max_output_tokens,
            enabled: source.enabled,
            output_visible: source.output_visible,
            handling: source.data_handling.as_ref().map(Handling::of),
            locations: Locations::of(&source.locations),
            prices: source.prices.into_iter().map(Arc::new).collect(),
        }
    }

    fn close(self) -> Self {
        Self { enabled: false, ..self }
    }
}

fn handling_faults(facts: &DataHandling, faults: &mut Vec<Reason>) {
    if facts.expires_at <= facts.read_at {
        faults.push(Reason::new("data_handling.expires_at", "is not after read_at"));
    }
    text::at_most("data_handling.also", facts.also.len(), 200, faults);
    for (place, part) in facts.also.iter().enumerate() {
        let at = |field: &str| format!("data_handling.also[{place}]{field}");
        if part.expires_at <= part.read_at {
            faults.push(Reason::new(at(".expires_at"), "is not after read_at"));
        }
        if part.operation.is_none() && part.feature.is_none() && part.region.is_none() {
            faults.push(Reason::new(at(""), "must name an operation, a feature or a region"));
        }
        for (name, text) in [(".feature", &part.feature), (".region", &part.region)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > 64) {
                faults.push(Reason::new(at(name), "must have 1 to 64 characters"));
            }
        }
    }
}
