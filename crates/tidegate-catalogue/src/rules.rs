//! `data/providers.toml`: providers as data, and how price files' names become ours.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_types::resource::{
    AbortBilling, Areas, AuthScheme, DataHandling, DialectName, Location, ModelKind, Operation, Quirks,
    Retention, Training,
};
use tidegate_types::{ProviderSlug, Timestamp};

use crate::CatalogueError;
use crate::document::ProviderEntry;

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Names of creators in price files, lower case, and ours.
    pub creators: BTreeMap<String, String>,
    /// Beginnings of bare model names, and who made those models.
    pub families: BTreeMap<String, String>,
    /// The providers.
    #[serde(rename = "provider")]
    pub providers: Vec<ProviderRule>,
}

/// One provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderRule {
    /// Its name in requests and routes.
    pub slug: ProviderSlug,
    /// Name for people.
    pub name: String,
    /// Scheme, host, port and path prefix.
    pub base_url: String,
    /// Its wire format.
    pub dialect: DialectName,
    /// Further wire formats that it speaks.
    #[serde(default)]
    pub also: Vec<DialectName>,
    /// How it is signed in at.
    pub auth: AuthScheme,
    /// Whether an abort stops what it bills.
    #[serde(default = "continues")]
    pub abort_billing: AbortBilling,
    /// Two-letter country of its headquarters.
    #[serde(default)]
    pub headquarters: Option<String>,
    /// What it is asked to do.
    pub operations: Vec<Operation>,
    /// Where it differs from its dialect.
    #[serde(default)]
    pub quirks: Quirks,
    /// Fields of a credential, and the variables in which its own tools look for them.
    #[serde(default)]
    pub key: BTreeMap<String, String>,
    /// Where address, dialect and sign-in were read.
    pub source: String,
    /// When (a day).
    pub read: String,
    /// Private: reached only where the operator's configuration lists it.
    #[serde(default)]
    pub local: bool,
    /// Where its models and prices come from.
    #[serde(default)]
    pub import: Import,
    /// What it does with what it is sent, where a source is known.
    #[serde(default)]
    pub data_handling: Option<Handling>,
    /// Where it is processed.
    #[serde(default)]
    pub location: Option<Whereabouts>,
    /// What does not work.
    #[serde(default)]
    pub note: Option<String>,
}

const fn continues() -> AbortBilling {
    AbortBilling::Continues
}

/// How a provider's models are found in price files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Import {
    /// Its names in genai-prices.
    pub genai: Vec<String>,
    /// Its names in LiteLLM's file: prices where genai-prices has none, facts about models.
    pub litellm: Vec<String>,
    /// Kinds of models that are taken from LiteLLM's file too, where genai-prices knows the provider but
    /// not them: it has few that do not talk.
    pub further: Vec<ModelKind>,
    /// Who made the models whose names do not say so.
    pub creator: Option<String>,
    /// Written before a price file's name when the provider is asked.
    pub upstream_prefix: String,
    /// Written after it.
    pub upstream_suffix: String,
    /// Only names that begin so.
    pub only: Vec<String>,
    /// Not names that begin so.
    pub skip: Vec<String>,
    /// Names are `creator.name-v1:0`, perhaps after a region.
    pub dotted_creators: bool,
    /// `4p1` is 4.1.
    pub p_is_dot: bool,
}

/// Where a provider processes what it is sent, with the evidence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whereabouts {
    /// All areas in which it may be.
    #[serde(default)]
    pub areas: Areas,
    /// In place of them: where the credential's region lies.
    #[serde(default)]
    pub regional: bool,
    /// The source does not speak of models whose names upstream begin so.
    #[serde(default)]
    pub except_prefixes: Vec<String>,
    /// Where this was read.
    pub source: String,
    /// When (a day).
    pub read: String,
    /// Counts as unknown from this day on.
    pub expires: String,
}

/// Data-handling facts with their evidence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handling {
    /// What is kept.
    pub retention: Retention,
    /// Whether it is trained on.
    pub training: Training,
    /// Where this was read.
    pub source: String,
    /// When (a day).
    pub read: String,
    /// Counts as unknown from this day on.
    pub expires: String,
    /// The source excepts models of these creators.
    #[serde(default)]
    pub except_creators: Vec<String>,
    /// The source speaks of these kinds only; all when absent.
    #[serde(default)]
    pub kinds: Vec<ModelKind>,
}

impl Rules {
    /// Reads the file.
    ///
    /// # Errors
    /// [`CatalogueError::Rules`] with the place.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        toml::from_str(text).map_err(|error| CatalogueError::Rules(error.to_string()))
    }

    /// The rules that come with this crate.
    ///
    /// # Errors
    /// Never: a test reads them.
    pub fn builtin() -> Result<Self, CatalogueError> {
        Self::parse(include_str!("../data/providers.toml"))
    }
}

impl ProviderRule {
    /// Where the model of this name upstream is processed, as far as the source speaks of it.
    #[must_use]
    pub fn locations(&self, upstream: &str) -> Vec<Location> {
        self.location.iter().filter_map(|known| known.of(upstream)).collect()
    }

    /// The provider itself.
    #[must_use]
    pub fn entry(&self) -> ProviderEntry {
        ProviderEntry {
            slug: self.slug.clone(),
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            dialect: self.dialect,
            also: self.also.clone(),
            auth: self.auth,
            abort_billing: self.abort_billing,
            headquarters: self.headquarters.clone(),
            quirks: self.quirks.clone(),
        }
    }

    /// Whether models of a kind can be called there.
    #[must_use]
    pub fn serves(&self, kind: ModelKind) -> bool {
        self.operations.iter().any(|operation| operation.model_kind() == kind)
    }
}

impl Handling {
    /// The facts as offerings of a creator's models carry them; none where the source excepts them.
    #[must_use]
    pub fn of(&self, creator: &str, kind: ModelKind) -> Option<DataHandling> {
        let covered = self.kinds.is_empty() || self.kinds.contains(&kind);
        if !covered || self.except_creators.iter().any(|except| except == creator) {
            return None;
        }
        Some(DataHandling {
            retention: self.retention,
            training: self.training,
            source: self.source.clone(),
            read_at: midnight(&self.read)?,
            expires_at: midnight(&self.expires)?,
            also: Vec::new(),
        })
    }
}

impl Whereabouts {
    fn of(&self, upstream: &str) -> Option<Location> {
        if self.except_prefixes.iter().any(|except| upstream.starts_with(except)) {
            return None;
        }
        Some(Location {
            operation: None,
            region: None,
            areas: self.areas,
            regional: self.regional,
            source: self.source.clone(),
            read_at: midnight(&self.read)?,
            expires_at: midnight(&self.expires)?,
        })
    }
}

/// The beginning of a day `2026-11-21`, UTC.
#[must_use]
pub fn midnight(day: &str) -> Option<Timestamp> {
    format!("{day}T00:00:00Z").parse().ok()
}
