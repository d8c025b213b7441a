//! What an import stores, in memory.

use tidegate_catalogue::{Catalogue, Existing};
use tidegate_types::resource::{Model, Offering, Price, Provider};
use tidegate_types::{ModelId, OfferingId, PriceId, ProviderId, Timestamp};

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) providers: Vec<Provider>,
    pub(crate) models: Vec<Model>,
    pub(crate) offerings: Vec<Offering>,
    made: u128,
}

impl Store {
    /// Imports a catalogue; how many things were made, and how many offerings got new prices.
    pub(crate) fn import(&mut self, catalogue: &Catalogue, now: Timestamp) -> (usize, usize) {
        let (providers, models, offerings) =
            (self.providers.clone(), self.models.clone(), self.offerings.clone());
        let existing = Existing { providers: &providers, models: &models, offerings: &offerings };
        let plan = tidegate_catalogue::plan(catalogue, existing);
        for entry in &plan.providers {
            let id = ProviderId::from_u128(self.next());
            self.providers.push(entry.provider(id));
        }
        for entry in &plan.models {
            let id = ModelId::from_u128(self.next());
            self.models.push(entry.model(id));
        }
        for (id, prices) in &plan.prices {
            let made: Vec<Price> =
                prices.iter().map(|price| price.price(PriceId::from_u128(self.next()), now)).collect();
            self.offerings.iter_mut().find(|offering| offering.id == *id).unwrap().prices.extend(made);
        }
        for entry in &plan.offerings {
            let prices =
                entry.prices.iter().map(|price| price.price(PriceId::from_u128(self.next()), now)).collect();
            let id = OfferingId::from_u128(self.next());
            self.offerings.push(entry.offering(id, prices));
        }
        (plan.providers.len() + plan.models.len() + plan.offerings.len(), plan.prices.len())
    }

    fn next(&mut self) -> u128 {
        self.made += 1;
        self.made
    }

    /// The offering of a model at a provider.
    pub(crate) fn offering(&self, model: &str, provider: &str) -> &Offering {
        let found =
            self.offerings.iter().find(|o| o.model.as_str() == model && o.provider.as_str() == provider);
        found.unwrap_or_else(|| panic!("{model} at {provider}"))
    }
}
