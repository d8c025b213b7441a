//! An offering: prices shared by reference, data-handling facts as a tier that expires.

use std::sync::Arc;

use tidegate_types::resource::{DataHandling, Offering as Source, Price, Retention, Training, ZdrTier};
use tidegate_types::{ModelName, OfferingId, OrganizationId, ProviderSlug, Timestamp};

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
    promise: Option<Promise>,
}

#[derive(Debug, Clone, Copy)]
struct Promise {
    tier: ZdrTier,
    expires_at: Timestamp,
}

impl Offering {
    /// The price that holds at `now`.
    #[must_use]
    pub fn price_at(&self, now: Timestamp) -> Option<&Arc<Price>> {
        tidegate_pricing::price_at(self.prices.iter(), now)
    }

    /// The strictest tier whose demands the provider's facts meet at `now`. Unknown or expired
    /// facts meet none.
    #[must_use]
    pub fn zdr_at(&self, now: Timestamp) -> ZdrTier {
        self.promise.filter(|promise| now < promise.expires_at).map_or(ZdrTier::None, |promise| promise.tier)
    }
}

fn tier_of(facts: &DataHandling) -> ZdrTier {
    match (facts.training, facts.retention) {
        (Training::May, _) => ZdrTier::None,
        (Training::Never, Retention::Retains) => ZdrTier::NoTraining,
        (Training::Never, Retention::SafetyOnly) => ZdrTier::ZdrWithSafetyRetention,
        (Training::Never, Retention::None) => ZdrTier::Zdr,
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
        if source.data_handling.as_ref().is_some_and(|facts| facts.expires_at <= facts.read_at) {
            faults.push(Reason::new("data_handling.expires_at", "is not after read_at"));
        }
        faults
    }

    fn weight(source: &Source) -> usize {
        let notes = source.notes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let entries: usize =
            source.prices.iter().flat_map(|price| &price.tiers).map(|tier| tier.prices.len()).sum();
        notes + entries * 16 + source.upstream_name.len()
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
            promise: source
                .data_handling
                .map(|facts| Promise { tier: tier_of(&facts), expires_at: facts.expires_at }),
            prices: source.prices.into_iter().map(Arc::new).collect(),
        }
    }

    fn close(self) -> Self {
        Self { enabled: false, ..self }
    }
}
