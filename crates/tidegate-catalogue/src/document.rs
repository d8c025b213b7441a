//! The catalogue as a document: providers, models, offerings with their prices.
//!
//! It is what importers make, what the snapshot in `data/prices.json` holds and what
//! `POST /catalogue/import` takes. Has no ids and no owners.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{
    AbortBilling, AuthScheme, Capabilities, DataHandling, DialectName, Location, Model, ModelKind, Offering,
    Price, PriceTier, Provider, Quirks, Unit, UnitPrice,
};
use tidegate_types::{
    ModelId, ModelName, OfferingId, OrganizationId, PicoUsd, PriceId, ProviderId, ProviderSlug, Timestamp,
};

/// Where the document's prices were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name, for example `genai-prices`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence.
    pub licence: String,
    /// When it was read.
    pub read_at: Timestamp,
}

/// A catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogue {
    /// Where it was read.
    pub sources: Vec<Source>,
    /// Who is called.
    pub providers: Vec<ProviderEntry>,
    /// What is asked for.
    pub models: Vec<ModelEntry>,
    /// Models at providers.
    pub offerings: Vec<OfferingEntry>,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderEntry {
    /// Its name in requests and routes.
    pub slug: ProviderSlug,
    /// Name for people.
    pub name: String,
    /// Scheme, host, port and path prefix; may hold `{resource}`, `{region}`, `{location}`, `{project}`.
    pub base_url: String,
    /// Its wire format.
    pub dialect: DialectName,
    /// Further wire formats that it speaks.
    #[serde(default)]
    pub also: Vec<DialectName>,
    /// How it is signed in at.
    pub auth: AuthScheme,
    /// Whether an abort stops what it bills.
    pub abort_billing: AbortBilling,
    /// Two-letter country of its headquarters.
    #[serde(default)]
    pub headquarters: Option<String>,
    /// Where it differs from its dialect.
    #[serde(default)]
    pub quirks: Quirks,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// `creator/name`.
    pub name: ModelName,
    /// Name for people.
    pub display_name: String,
    /// Other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What it is for.
    pub kind: ModelKind,
    /// Tokens of input and output together.
    pub context_window: u32,
    /// Most output tokens.
    pub max_output_tokens: u32,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// A model at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferingEntry {
    /// The model.
    pub model: ModelName,
    /// The provider.
    pub provider: ProviderSlug,
    /// What the provider calls the model.
    pub upstream_name: String,
    /// Most output tokens here, where fewer than the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Whether all billed output is visible in the stream.
    #[serde(default)]
    pub output_visible: bool,
    /// Data-handling facts, where a source is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_handling: Option<DataHandling>,
    /// Where it is processed, where a source is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// Other facts, for display.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
    /// Its prices by time.
    pub prices: Vec<PriceEntry>,
}

/// Prices of units, in USD for one.
pub type UnitPrices = BTreeMap<Unit, PicoUsd>;

/// A price and when it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceEntry {
    /// In force from this time on; the epoch where the source knows no earlier price.
    pub valid_from: Timestamp,
    /// From so many input tokens on, these prices.
    pub tiers: BTreeMap<u32, UnitPrices>,
    /// Where it was read.
    pub source: String,
}

impl ProviderEntry {
    /// The shared catalogue's provider.
    #[must_use]
    pub fn provider(&self, id: ProviderId) -> Provider {
        Provider {
            organization_id: OrganizationId::SYSTEM,
            id,
            slug: self.slug.clone(),
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            dialect: self.dialect,
            also: self.also.clone(),
            auth: self.auth,
            abort_billing: self.abort_billing,
            enabled: true,
            headquarters: self.headquarters.clone(),
            simulated: false,
            quirks: self.quirks.clone(),
        }
    }
}

impl ModelEntry {
    /// The shared catalogue's model.
    #[must_use]
    pub fn model(&self, id: ModelId) -> Model {
        Model {
            organization_id: OrganizationId::SYSTEM,
            id,
            name: self.name.clone(),
            display_name: self.display_name.clone(),
            aliases: self.aliases.clone(),
            kind: self.kind,
            context_window: self.context_window,
            max_output_tokens: self.max_output_tokens,
            capabilities: self.capabilities,
            released_at: None,
        }
    }
}

impl OfferingEntry {
    /// The shared catalogue's offering.
    #[must_use]
    pub fn offering(&self, id: OfferingId, prices: Vec<Price>) -> Offering {
        Offering {
            organization_id: OrganizationId::SYSTEM,
            id,
            model: self.model.clone(),
            provider: self.provider.clone(),
            upstream_name: self.upstream_name.clone(),
            max_output_tokens: self.max_output_tokens,
            enabled: true,
            prices,
            data_handling: self.data_handling.clone(),
            locations: self.locations.clone(),
            output_visible: self.output_visible,
            notes: self.notes.clone(),
        }
    }
}

impl PriceEntry {
    /// The price, learned of at `recorded_at`.
    #[must_use]
    pub fn price(&self, id: PriceId, recorded_at: Timestamp) -> Price {
        Price {
            id,
            tiers: self.price_tiers(),
            valid_from: self.valid_from,
            recorded_at,
            source: self.source.clone(),
        }
    }

    /// Its tiers as prices have them.
    #[must_use]
    pub fn price_tiers(&self) -> Vec<PriceTier> {
        let tier = |(from, prices): (&u32, &UnitPrices)| PriceTier {
            from_input_tokens: *from,
            prices: prices.iter().map(|(unit, price)| UnitPrice { unit: *unit, price: *price }).collect(),
        };
        self.tiers.iter().map(tier).collect()
    }
}

impl Catalogue {
    /// This catalogue without all but some providers, and without models that nobody then offers.
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&ProviderSlug) -> bool) -> Self {
        self.providers.retain(|provider| wanted(&provider.slug));
        self.offerings.retain(|offering| wanted(&offering.provider));
        let offered: std::collections::BTreeSet<&ModelName> =
            self.offerings.iter().map(|offering| &offering.model).collect();
        self.models.retain(|model| offered.contains(&model.name));
        self
    }
}
