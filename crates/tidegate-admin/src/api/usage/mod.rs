//! `/usage`: what was used and what it cost, from the hourly roll-ups.

mod export;
mod focus;
mod list;
mod names;
mod parquet;
mod table;
mod thrift;

use serde::Serialize;
use tidegate_types::{KeyId, LabelHash, ModelId, NanoUsd, ProviderId, TeamId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

use names::Names;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(export::export))
}

/// A label: its keyed hash, and its readable form where one is kept.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = UsageLabel)]
pub(crate) struct Label {
    /// Keyed hash.
    #[schema(value_type = String)]
    hash: LabelHash,
    /// Readable form.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// A row of a report. Identities are there when the report is grouped by them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageRow)]
pub(crate) struct UsageRow {
    /// First instant of the row's hour, day or month.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start: Option<Timestamp>,
    /// The team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    model_id: Option<ModelId>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    provider_id: Option<ProviderId>,
    /// The end user; absent also for calls that named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Label>,
    /// The tag; absent also for calls without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<Label>,
    /// Who paid the provider: `system`, `byok` or `client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_type: Option<String>,
    /// Calls that were sent upstream.
    request_count: u64,
    /// The calls that got no answer from anywhere.
    refused_count: u64,
    /// Calls that were answered from the response cache.
    cache_hit_count: u64,
    /// Calls that failed upstream.
    error_count: u64,
    /// Everything metered, USD.
    #[schema(value_type = String, example = "1.25")]
    total_cost: NanoUsd,
    /// The part of it that the organization pays its providers itself, USD.
    #[schema(value_type = String, example = "0")]
    byok_cost: NanoUsd,
    /// All input tokens.
    input_tokens: u64,
    /// All output tokens.
    output_tokens: u64,
    /// Input tokens read from a provider's cache.
    cached_input_tokens: u64,
    /// Input tokens written to a provider's cache.
    cache_creation_input_tokens: u64,
    /// Output tokens spent on reasoning.
    reasoning_tokens: u64,
    /// Input tokens written to a provider's cache for an hour.
    cache_creation_1h_input_tokens: u64,
    /// Input tokens that were audio.
    audio_input_tokens: u64,
    /// Input tokens that were images.
    image_input_tokens: u64,
    /// Output tokens that were audio.
    audio_output_tokens: u64,
    /// Output tokens that were images.
    image_output_tokens: u64,
    /// Images made.
    images: u64,
    /// Seconds of audio transcribed.
    audio_seconds: u64,
    /// Characters spoken.
    characters: u64,
    /// Searches.
    searches: u64,
    /// Seconds of video made.
    video_seconds: u64,
}
