//! The catalogue: providers, models, offerings, prices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ModelId, OfferingId, OrganizationId, PriceId, ProviderId};
use crate::money::PicoUsd;
use crate::slug::{ModelName, ProviderSlug};

/// Wire formats that a provider may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    /// OpenAI chat completions.
    OpenaiChat,
    /// Anthropic messages.
    AnthropicMessages,
}

/// How a provider is signed in at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// `Authorization: Bearer <api_key>`.
    Bearer,
    /// `x-api-key: <api_key>` and `anthropic-version`.
    XApiKey,
    /// No sign-in (a private service).
    None,
}

/// Whether closing the connection stops what the provider bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortBilling {
    /// Billing stops at the abort: cancel and meter.
    Stops,
    /// Billing goes on, or it is not known: read to the end.
    Continues,
}

/// A provider: who is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its owner; system for the shared catalogue.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: ProviderId,
    /// Its name, unique per owner.
    pub slug: ProviderSlug,
    /// Name for people.
    pub name: String,
    /// Scheme, host, port and path prefix, for example `https://api.openai.com/v1`.
    pub base_url: String,
    /// Its wire format.
    pub dialect: DialectName,
    /// How it is signed in at.
    pub auth: AuthScheme,
    /// Whether an abort stops what it bills.
    pub abort_billing: AbortBilling,
    /// Not used while false.
    pub enabled: bool,
    /// Two-letter country of its headquarters.
    pub headquarters: Option<String>,
    /// Whether it is a simulated provider (answers carry `x-tidegate-simulated: true`).
    pub simulated: bool,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Text in, text out.
    Language,
    /// Text in, vectors out.
    Embedding,
}

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Function tools.
    pub tools: bool,
    /// Images in the input.
    pub vision: bool,
    /// Hidden or visible reasoning.
    pub reasoning: bool,
    /// Output that follows a JSON schema.
    pub structured_output: bool,
}

/// A model: what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its owner; system for the shared catalogue.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: ModelId,
    /// `creator/name`, unique per owner.
    pub name: ModelName,
    /// Name for people.
    pub display_name: String,
    /// Other names, bare or `creator/name`.
    pub aliases: Vec<String>,
    /// What it is for.
    pub kind: ModelKind,
    /// Tokens of input and output together.
    pub context_window: u32,
    /// Most output tokens.
    pub max_output_tokens: u32,
    /// What it can do.
    pub capabilities: Capabilities,
    /// When it came out.
    pub released_at: Option<Timestamp>,
}

/// What is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One input token that was neither read from nor written to a cache.
    InputToken,
    /// One output token, reasoning included unless it has a price of its own.
    OutputToken,
    /// One input token read from the provider's cache.
    CachedInputToken,
    /// One input token written to the provider's cache.
    CacheWriteToken,
    /// One reasoning token.
    ReasoningToken,
    /// One call.
    Request,
}

/// Price of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitPrice {
    /// The unit.
    pub unit: Unit,
    /// USD per unit.
    pub price: PicoUsd,
}

/// Prices that hold for calls with at least so many input tokens (cached ones included).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceTier {
    /// From this many input tokens on; the first tier has 0.
    pub from_input_tokens: u32,
    /// Prices; a unit that is absent costs as its nearest relative (see `tidegate-pricing`).
    pub prices: Vec<UnitPrice>,
}

/// An immutable price of an offering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Identity; travels on every billing event.
    pub id: PriceId,
    /// Tiers, ascending, the first from 0.
    pub tiers: Vec<PriceTier>,
    /// In force from this time on.
    pub valid_from: Timestamp,
    /// When we learned of it.
    pub recorded_at: Timestamp,
    /// Where it was read.
    pub source: String,
}

/// What a provider keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// Keeps nothing.
    None,
    /// Keeps what its safety checks flag.
    SafetyOnly,
    /// Keeps, or it is not known.
    Retains,
}

/// Whether a provider trains on what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Training {
    /// Never.
    Never,
    /// May, or it is not known.
    May,
}

/// Data-handling facts of an offering, with their evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataHandling {
    /// What is kept.
    pub retention: Retention,
    /// Whether it is trained on.
    pub training: Training,
    /// Where this was read.
    pub source: String,
    /// When it was read.
    pub read_at: Timestamp,
    /// Counts as unknown from this time on.
    pub expires_at: Timestamp,
}

/// A model at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub upstream_name: String,
    /// Most output tokens here; `None`: the model's.
    pub max_output_tokens: Option<u32>,
    /// Not used while false.
    pub enabled: bool,
    /// Prices by time; the newest with `valid_from` not in the future holds.
    pub prices: Vec<Price>,
    /// Data-handling facts; `None` counts as retaining and training.
    pub data_handling: Option<DataHandling>,
    /// Whether all billed output is visible in the stream (no hidden reasoning).
    pub output_visible: bool,
    /// Other facts, for display.
    pub notes: BTreeMap<String, String>,
}
