//! What `dev` takes from the catalogue: real providers whose keys are in the environment, and the
//! well-known makers' models, which the simulator answers where no key is.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};
use tidegate_catalogue::{Catalogue, OfferingEntry, PriceEntry, ProviderRule, Rules, builtin};
use tidegate_simulator::ModelPrice;
use tidegate_types::resource::{AuthScheme, ModelKind, Unit};
use tidegate_types::{ModelName, PicoUsd, ProviderSlug, Secret, Timestamp};

/// Providers whose own language models the simulator answers.
const MAKERS: [&str; 8] =
    ["openai", "anthropic", "google", "mistral", "xai", "deepseek", "moonshotai", "zai"];

/// The catalogue, and how providers are signed in at.
pub(super) struct Known {
    catalogue: Catalogue,
    rules: Rules,
}

impl Known {
    /// Reads what comes with the executable.
    pub(super) fn read() -> Result<Self> {
        Ok(Self { catalogue: builtin()?, rules: Rules::builtin()? })
    }

    /// The providers whose every variable has a value, with the credential made of them.
    pub(super) fn with_keys(&self, variable: impl Fn(&str) -> Option<Secret>) -> Vec<(&ProviderRule, Value)> {
        let callable = self.rules.providers.iter().filter(|rule| !rule.local && !rule.operations.is_empty());
        let credential = |rule: &'_ ProviderRule| {
            let mut secret = serde_json::Map::new();
            for (field, name) in &rule.key {
                secret.insert(field.clone(), variable(name)?.expose().into());
            }
            let form = match rule.auth {
                AuthScheme::AwsSigV4 => "aws",
                AuthScheme::GoogleServiceAccount => "google_service_account",
                _ => "api_key",
            };
            (!secret.is_empty()).then(|| {
                json!({"scope": "system", "name": rule.slug, "provider": rule.slug, "form": form, "secret": secret})
            })
        };
        callable.filter_map(|rule| Some((rule, credential(rule)?))).collect()
    }

    /// One provider with its models and prices.
    pub(super) fn of(&self, slug: &ProviderSlug) -> Catalogue {
        self.catalogue.clone().only(|provider| provider == slug)
    }

    /// The makers' models as the simulated providers offer them, at the makers' own prices for
    /// short prompts.
    pub(super) fn simulated(&self, sim_openai: &ProviderSlug, sim_anthropic: &ProviderSlug) -> Catalogue {
        let language: BTreeSet<&ModelName> = self
            .catalogue
            .models
            .iter()
            .filter(|model| model.kind == ModelKind::Language)
            .map(|model| &model.name)
            .collect();
        let own = |offering: &&OfferingEntry| {
            let maker = offering.model.creator();
            maker == offering.provider.as_str()
                && MAKERS.contains(&maker)
                && language.contains(&offering.model)
        };
        let simulated = |offering: &OfferingEntry| {
            let anthropic = offering.model.creator() == "anthropic";
            Some(OfferingEntry {
                provider: if anthropic { sim_anthropic } else { sim_openai }.clone(),
                data_handling: None,
                output_visible: false,
                notes: BTreeMap::new(),
                prices: vec![simulated_price(offering.prices.last()?)],
                ..offering.clone()
            })
        };
        let offerings: Vec<_> = self.catalogue.offerings.iter().filter(own).filter_map(simulated).collect();
        let names: BTreeSet<&ModelName> = offerings.iter().map(|offering| &offering.model).collect();
        let models =
            self.catalogue.models.iter().filter(|model| names.contains(&model.name)).cloned().collect();
        Catalogue { models, offerings, ..Catalogue::default() }
    }
}

/// The units that the simulator knows, of the first tier.
fn simulated_price(price: &PriceEntry) -> PriceEntry {
    let mut price = price.clone();
    price.valid_from = Timestamp::default();
    price.tiers.retain(|from, _| *from == 0);
    for prices in price.tiers.values_mut() {
        prices
            .retain(|unit, _| matches!(unit, Unit::InputToken | Unit::OutputToken | Unit::CachedInputToken));
    }
    price
}

/// What the simulator bills for these offerings, by the names under which it is asked.
pub(super) fn simulator_prices(catalogue: &Catalogue) -> impl Iterator<Item = (String, ModelPrice)> {
    catalogue.offerings.iter().filter_map(|offering| {
        let prices = offering.prices.first()?.tiers.get(&0)?;
        let pico = |unit| prices.get(&unit).copied().map(PicoUsd::get);
        let input = pico(Unit::InputToken)?;
        let price = ModelPrice {
            input,
            output: pico(Unit::OutputToken)?,
            cached_input: pico(Unit::CachedInputToken).unwrap_or(input),
        };
        Some((offering.upstream_name.clone(), price))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slugs() -> (ProviderSlug, ProviderSlug) {
        ("sim-openai".parse().unwrap(), "sim-anthropic".parse().unwrap())
    }

    #[test]
    fn the_simulator_bills_what_the_catalogue_says() {
        let (openai, anthropic) = slugs();
        let simulated = Known::read().unwrap().simulated(&openai, &anthropic);
        let prices: BTreeMap<_, _> = simulator_prices(&simulated).collect();
        assert_eq!(prices.len(), simulated.offerings.len(), "no two are asked for under one name");
        let sonnet = &prices["claude-sonnet-4-5"];
        assert_eq!((sonnet.input, sonnet.output, sonnet.cached_input), (3_000_000, 15_000_000, 300_000));
    }

    #[test]
    fn a_provider_is_added_only_when_its_whole_key_is_there() {
        let known = Known::read().unwrap();
        let some = |name: &str| {
            ["GROQ_API_KEY", "AZURE_API_KEY"].contains(&name).then(|| Secret::new("k".to_owned()))
        };
        let found = known.with_keys(some);
        let slugs: Vec<_> = found.iter().map(|(rule, _)| rule.slug.as_str()).collect();
        assert_eq!(slugs, ["groq"], "Azure's resource is missing");
        assert_eq!(found[0].1["secret"]["api_key"], "k");
    }
}
