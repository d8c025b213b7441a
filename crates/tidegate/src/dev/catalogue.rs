//! What `dev` takes from the catalogue: real providers whose keys are in the environment, and the
//! well-known makers' models, which the simulator answers where no key is.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};
use tidegate_catalogue::{Catalogue, ModelEntry, OfferingEntry, PriceEntry, ProviderRule, Rules, builtin};
use tidegate_simulator::ModelPrice;
use tidegate_types::resource::{AuthScheme, ModelKind, Unit};
use tidegate_types::{ModelName, PicoUsd, ProviderSlug, Secret, Timestamp};

/// Providers whose language models the simulator answers, and the simulated one that stands in for each:
/// the one that speaks its dialect.
const STAND_INS: [(&str, &str); 14] = [
    ("openai", "sim-openai"),
    ("anthropic", "sim-anthropic"),
    ("google", "sim-gemini"),
    ("mistral", "sim-openai"),
    ("xai", "sim-openai"),
    ("deepseek", "sim-openai"),
    ("moonshotai", "sim-openai"),
    ("zai", "sim-openai"),
    ("cohere", "sim-cohere"),
    ("groq", "sim-openai"),
    ("azure", "sim-openai"),
    ("vertex", "sim-gemini"),
    ("bedrock", "sim-bedrock"),
    ("cerebras", "sim-openai"),
];

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

    /// The language models as the simulated providers offer them, at the prices for short prompts. Each
    /// model once at each of them; what goes by one name at the simulator has one price there.
    pub(super) fn simulated(&self) -> Result<Catalogue> {
        let is_language = |model: &&ModelEntry| model.kind == ModelKind::Language;
        let language: BTreeSet<&ModelName> =
            self.catalogue.models.iter().filter(is_language).map(|model| &model.name).collect();
        let mut offered: BTreeSet<(ModelName, &str)> = BTreeSet::new();
        let mut prices: BTreeMap<String, PriceEntry> = BTreeMap::new();
        let mut offerings = Vec::new();
        for (provider, stand_in) in STAND_INS {
            let slug: ProviderSlug = stand_in.parse()?;
            let own = |offering: &&OfferingEntry| {
                offering.provider.as_str() == provider && language.contains(&offering.model)
            };
            for offering in self.catalogue.offerings.iter().filter(own) {
                let Some(price) = offering.prices.last() else { continue };
                if !offered.insert((offering.model.clone(), stand_in)) {
                    continue;
                }
                let price =
                    prices.entry(offering.upstream_name.clone()).or_insert_with(|| simulated_price(price));
                offerings.push(OfferingEntry {
                    provider: slug.clone(),
                    data_handling: None,
                    locations: Vec::new(),
                    output_visible: false,
                    notes: BTreeMap::new(),
                    prices: vec![price.clone()],
                    ..offering.clone()
                });
            }
        }
        let names: BTreeSet<&ModelName> = offerings.iter().map(|offering| &offering.model).collect();
        let models =
            self.catalogue.models.iter().filter(|model| names.contains(&model.name)).cloned().collect();
        Ok(Catalogue { models, offerings, ..Catalogue::default() })
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

    #[test]
    fn the_simulator_bills_what_the_catalogue_says() {
        let simulated = Known::read().unwrap().simulated().unwrap();
        let prices: BTreeMap<_, _> = simulator_prices(&simulated).collect();
        for offering in &simulated.offerings {
            let tier = &offering.prices[0].tiers[&0];
            let billed = &prices[&offering.upstream_name];
            assert_eq!(tier[&Unit::InputToken].get(), billed.input, "{offering:?}");
            assert_eq!(tier[&Unit::OutputToken].get(), billed.output, "{offering:?}");
        }
        let sonnet = &prices["claude-sonnet-4-5"];
        assert_eq!((sonnet.input, sonnet.output, sonnet.cached_input), (3_000_000, 15_000_000, 300_000));
    }

    #[test]
    fn every_kind_of_provider_has_a_stand_in_with_models() {
        let simulated = Known::read().unwrap().simulated().unwrap();
        for stand_in in ["sim-openai", "sim-anthropic", "sim-gemini", "sim-bedrock", "sim-cohere"] {
            assert!(
                simulated.offerings.iter().any(|offering| offering.provider.as_str() == stand_in),
                "{stand_in}"
            );
        }
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
