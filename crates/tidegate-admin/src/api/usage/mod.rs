//! `/usage`: what was used and what it cost, from the hourly roll-ups.

mod list;

use serde::Serialize;
use tidegate_store::usage::Row;
use tidegate_types::{KeyId, ModelId, NanoUsd, ProviderId, TeamId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list))
}

/// A row of a report. Identities are there when the report is grouped by them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageRow)]
pub(crate) struct UsageRow {
    /// First instant of the row's hour or day (UTC).
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
    /// Calls that were sent upstream.
    request_count: u64,
    /// The other calls.
    refused_count: u64,
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

impl From<&Row> for UsageRow {
    fn from(row: &Row) -> Self {
        Self {
            start: row.start,
            team_id: row.team_id,
            key_id: row.key_id,
            model_id: row.model_id,
            provider_id: row.provider_id,
            request_count: row.request_count,
            refused_count: row.refused_count,
            error_count: row.error_count,
            total_cost: row.total_cost,
            byok_cost: row.byok_cost,
            input_tokens: row.usage.input_tokens,
            output_tokens: row.usage.output_tokens,
            cached_input_tokens: row.usage.cached_input_tokens,
            cache_creation_input_tokens: row.usage.cache_creation_input_tokens,
            reasoning_tokens: row.usage.reasoning_tokens,
            cache_creation_1h_input_tokens: row.usage.cache_creation_1h_input_tokens,
            audio_input_tokens: row.usage.audio_input_tokens,
            image_input_tokens: row.usage.image_input_tokens,
            audio_output_tokens: row.usage.audio_output_tokens,
            image_output_tokens: row.usage.image_output_tokens,
            images: row.usage.images,
            audio_seconds: row.usage.audio_seconds,
            characters: row.usage.characters,
            searches: row.usage.searches,
            video_seconds: row.usage.video_seconds,
        }
    }
}
