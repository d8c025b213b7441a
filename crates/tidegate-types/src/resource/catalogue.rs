//! The catalogue: providers, models, offerings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ModelId, OfferingId, OrganizationId, ProviderId};
use crate::resource::Location;
use crate::resource::price::Price;
use crate::slug::{ModelName, ProviderSlug};

/// Wire formats in which clients ask and providers answer. For models other than language models
/// it names the family: `openai_chat` then means OpenAI's embeddings, images, speech and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    /// OpenAI chat completions.
    OpenaiChat,
    /// OpenAI responses.
    OpenaiResponses,
    /// Anthropic messages.
    AnthropicMessages,
    /// Gemini's `generateContent`, at AI Studio and Vertex AI.
    Gemini,
    /// Bedrock's Converse.
    BedrockConverse,
    /// Cohere's chat, version 2.
    CohereChat,
    /// The AI SDK gateway protocol. Clients speak it, providers do not.
    AiSdk,
}

impl DialectName {
    /// Every dialect.
    pub const ALL: [Self; 7] = [
        Self::OpenaiChat,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::Gemini,
        Self::BedrockConverse,
        Self::CohereChat,
        Self::AiSdk,
    ];

    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
            Self::Gemini => "gemini",
            Self::BedrockConverse => "bedrock_converse",
            Self::CohereChat => "cohere_chat",
            Self::AiSdk => "ai_sdk",
        }
    }
}

/// How a provider is signed in at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// `Authorization: Bearer <api_key>`.
    Bearer,
    /// `x-api-key: <api_key>` and `anthropic-version`.
    XApiKey,
    /// `api-key: <api_key>` (Azure).
    ApiKey,
    /// `x-goog-api-key: <api_key>` (Google AI Studio).
    GoogleApiKey,
    /// `Authorization: Bearer <access token>`, fetched for a Google service account (Vertex AI);
    /// an API key in its place is sent as `x-goog-api-key`.
    GoogleServiceAccount,
    /// AWS signature version 4; an API key in its place is sent as bearer token (Bedrock).
    AwsSigV4,
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
    /// Its wire format, unless [`Self::also`] has that of the caller.
    pub dialect: DialectName,
    /// Further wire formats that it speaks under the same base URL.
    #[serde(default)]
    pub also: Vec<DialectName>,
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
    /// Where it differs from its dialect.
    #[serde(default)]
    pub quirks: Quirks,
}

impl Provider {
    /// The wire format in which this provider is asked by a client of `surface`: the client's own
    /// where the provider speaks it, so that nothing is translated.
    #[must_use]
    pub fn spoken(&self, surface: DialectName) -> DialectName {
        if self.also.contains(&surface) { surface } else { self.dialect }
    }
}

/// Where a provider differs from its dialect. All empty: nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// OpenAI chat: takes the output limit as `max_completion_tokens`; otherwise as `max_tokens`.
    pub max_completion_tokens: bool,
    /// OpenAI chat: does not know `stream_options`, and tells usage unasked or not at all.
    pub no_stream_options: bool,
    /// Paths of operations below the base URL where they are not the dialect's own. May hold
    /// `{model}`. Keys as in [`Operation::as_str`](crate::resource::Operation::as_str), those of
    /// language models with the dialect: `openai_chat`, `openai_responses`, …
    pub paths: BTreeMap<String, String>,
    /// Query of every call, for example `api-version=2025-04-01-preview`.
    pub query: Option<String>,
    /// Top-level fields of requests that it refuses and that say nothing about the answer: left out.
    pub drops: Vec<String>,
    /// Top-level fields of requests that it cannot obey: calls with them are refused, naming the field.
    pub refuses: Vec<String>,
}

/// What a provider is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Answer a prompt.
    Language,
    /// Count the tokens of a prompt.
    CountTokens,
    /// Turn texts into vectors.
    Embedding,
    /// Make images.
    Image,
    /// Turn text into speech.
    Speech,
    /// Turn speech into text.
    Transcription,
    /// Rank documents.
    Reranking,
    /// Make videos.
    Video,
}

impl Operation {
    /// The kind of model that it needs.
    #[must_use]
    pub const fn model_kind(self) -> ModelKind {
        match self {
            Self::Language | Self::CountTokens => ModelKind::Language,
            Self::Embedding => ModelKind::Embedding,
            Self::Image => ModelKind::Image,
            Self::Speech => ModelKind::Speech,
            Self::Transcription => ModelKind::Transcription,
            Self::Reranking => ModelKind::Reranking,
            Self::Video => ModelKind::Video,
        }
    }

    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Language => "language",
            Self::CountTokens => "count_tokens",
            Self::Embedding => "embedding",
            Self::Image => "image",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
            Self::Reranking => "reranking",
            Self::Video => "video",
        }
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Text in, text out.
    Language,
    /// Text in, vectors out.
    Embedding,
    /// Text (and images) in, images out.
    Image,
    /// Text in, speech out.
    Speech,
    /// Speech in, text out.
    Transcription,
    /// A query and documents in, their ranking out.
    Reranking,
    /// Text (and images) in, videos out.
    Video,
}

impl ModelKind {
    /// Its name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Language => "language",
            Self::Embedding => "embedding",
            Self::Image => "image",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
            Self::Reranking => "reranking",
            Self::Video => "video",
        }
    }
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
    /// Facts of single operations, features and regions, which differ from those above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<PartHandling>,
}

/// Data-handling facts of a part of an offering. One that names more of operation, feature and region holds
/// before one that names less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartHandling {
    /// This operation only; `None`: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Only where a request makes use of this: the name of a tool that the provider runs, as it is
    /// written in requests (`web_search_20250305`, `googleSearch`). What no fact names is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// Only over credentials of this region; `None`: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
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
    /// Where it is processed; empty counts as anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// Whether all billed output is visible in the stream (no hidden reasoning).
    pub output_visible: bool,
    /// Other facts, for display.
    pub notes: BTreeMap<String, String>,
}
