//! Keeping an exporter's headers: a JSON object under the organization's data key.

use std::collections::BTreeMap;

use tidegate_secrets::{envelope, places};
use tidegate_store::Change;
use tidegate_store::exporters::{ExporterId, SealedHeaders};

use super::Headers;
use crate::problem::Problem;
use crate::state::App;

/// The headers as they are kept.
pub(super) async fn seal(
    app: &App,
    change: &mut Change,
    id: ExporterId,
    secret_version: u32,
    headers: &Headers,
) -> Result<SealedHeaders, Problem> {
    let plain: BTreeMap<String, &str> =
        headers.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
    let json = serde_json::to_vec(&plain).map_err(|_| Problem::internal())?;
    let organization = change.organization_id();
    let data_key = app.vault.data_key(change).await?;
    let place = places::exporter(organization, id.to_u128(), secret_version);
    let bytes = envelope::seal(&data_key.key, &place, &json).map_err(|error| {
        tracing::error!(%error, "an exporter's headers could not be encrypted");
        Problem::internal()
    })?;
    let names = plain.into_keys().collect();
    Ok(SealedHeaders { names, secret_version, data_key_version: data_key.version, bytes })
}
