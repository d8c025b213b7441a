//! Names of what a report's rows name.

use std::collections::HashMap;

use tidegate_store::usage::Row;
use tidegate_store::{TenantTx, labels};
use tidegate_types::LabelHash;

use super::{Label, UsageRow};
use crate::problem::Problem;

/// Readable forms of labels.
#[derive(Debug, Default)]
pub(super) struct Names {
    labels: HashMap<LabelHash, String>,
}

impl Names {
    /// Reads the names that these rows need.
    pub(super) async fn read(tx: &mut TenantTx, rows: &[Row]) -> Result<Self, Problem> {
        let hashes: Vec<LabelHash> = rows.iter().flat_map(|row| [row.user, row.tag]).flatten().collect();
        if hashes.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self { labels: labels::texts(tx, &hashes).await? })
    }

    /// A label with its readable form.
    pub(super) fn label(&self, hash: LabelHash) -> Label {
        Label { hash, text: self.labels.get(&hash).cloned() }
    }

    /// A row as it is shown.
    pub(super) fn row(&self, row: &Row) -> UsageRow {
        UsageRow {
            start: row.start,
            team_id: row.team_id,
            key_id: row.key_id,
            model_id: row.model_id,
            provider_id: row.provider_id,
            user: row.user.map(|hash| self.label(hash)),
            tag: row.tag.map(|hash| self.label(hash)),
            credential_type: row.credential_type.clone(),
            request_count: row.request_count,
            refused_count: row.refused_count,
            cache_hit_count: row.cache_hit_count,
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
