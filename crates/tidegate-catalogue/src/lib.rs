//! The catalogue as data: providers, models and prices, with their sources.
//!
//! `data/providers.toml` is written by people; `data/prices.json` is made from it and from the
//! community's price files by `cargo xtask catalogue`. Pure: reads no file and no clock.

mod build;
mod complete;
mod decimal;
mod document;
mod found;
mod genai;
mod litellm;
mod names;
mod plan;
mod rules;
mod units;

pub use build::{Built, PriceFiles, build};
pub use decimal::{DecimalError, price_of_one, price_rounded_up};
pub use document::{Catalogue, ModelEntry, OfferingEntry, PriceEntry, ProviderEntry, Source, UnitPrices};
pub use plan::{Existing, Plan, plan};
pub use rules::{Handling, Import, ProviderRule, Rules, midnight};

/// Why a catalogue cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// `providers.toml` is malformed.
    #[error("the rules cannot be read: {0}")]
    Rules(String),
    /// A catalogue document is malformed.
    #[error("the document cannot be read: {0}")]
    Document(String),
    /// A price file is malformed.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// What is wrong with a price file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Not the data file of genai-prices.
    #[error("this is not the data of genai-prices: {0}")]
    NotGenai(String),
    /// Not LiteLLM's price file.
    #[error("this is not LiteLLM's price file: {0}")]
    NotLitellm(String),
    /// A model's price has another form.
    #[error("the price of {model} cannot be read: {why}")]
    BadPrice {
        /// The model.
        model: String,
        /// Why.
        why: String,
    },
}

/// The catalogue that comes with this crate: every provider, and models and prices as they were
/// when the snapshot was made.
///
/// # Errors
/// Never: a test reads it.
pub fn builtin() -> Result<Catalogue, CatalogueError> {
    let mut catalogue = parse(include_str!("../data/prices.json"))?;
    catalogue.providers = Rules::builtin()?.providers.iter().map(ProviderRule::entry).collect();
    Ok(catalogue)
}

/// Reads a catalogue document.
///
/// # Errors
/// [`CatalogueError::Document`] with the place.
pub fn parse(text: &str) -> Result<Catalogue, CatalogueError> {
    serde_json::from_str(text).map_err(|error| CatalogueError::Document(error.to_string()))
}
