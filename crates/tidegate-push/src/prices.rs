//! Recomputes charges: from the price in the store, not from what the node says.
//!
//! Prices are immutable, so that each is read once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::RwLock;
use tidegate_pricing::{Tariff, cost, share};
use tidegate_store::{Store, StoreError, offerings};
use tidegate_types::resource::Price;
use tidegate_types::usage::{BillingEvent, EventKind, Outcome};
use tidegate_types::{NanoUsd, PicoUsd, PriceId};

/// More prices than any catalogue has; beyond it they are read anew.
const MOST: usize = 100_000;

/// The prices that events named so far.
pub(crate) struct Prices {
    store: Store,
    known: RwLock<HashMap<PriceId, Arc<Price>>>,
}

impl Prices {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, known: RwLock::default() }
    }

    /// Reads the prices that these events name and that are not known yet.
    pub(crate) async fn learn(&self, events: impl Iterator<Item = &BillingEvent>) -> Result<(), StoreError> {
        let unknown: HashSet<PriceId> = {
            let known = self.known.read();
            events.filter_map(|event| event.price_id).filter(|id| !known.contains_key(id)).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown: Vec<PriceId> = unknown.into_iter().collect();
        let read = offerings::prices(&self.store, &unknown).await?;
        let mut known = self.known.write();
        if known.len() + read.len() > MOST {
            known.clear();
        }
        known.extend(read.into_iter().map(|(id, price)| (id, Arc::new(price))));
        Ok(())
    }

    /// What an event costs. A price that the store does not have cannot be recomputed: then the
    /// node's figure stands, and `false` says that nothing confirms it.
    pub(crate) fn cost(&self, event: &BillingEvent) -> (NanoUsd, bool) {
        let is_billed = event.kind != EventKind::Intent
            && matches!(event.outcome, Outcome::Completed | Outcome::Interrupted);
        if !is_billed {
            return (NanoUsd::ZERO, true);
        }
        let part = |whole: NanoUsd| event.cached_percent.map_or(whole, |percent| share(whole, percent));
        match (event.price_id, event.ceiling_pico) {
            (Some(id), _) => match self.known.read().get(&id) {
                Some(price) => (part(cost(price, &event.usage)), true),
                None => (event.cost, false),
            },
            (None, Some(ceiling)) => (part(Tariff::Ceiling(PicoUsd::new(ceiling)).cost(&event.usage)), true),
            (None, None) => (event.cost, false),
        }
    }
}
