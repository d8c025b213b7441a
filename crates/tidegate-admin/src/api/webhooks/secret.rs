//! Making a webhook's secret: 32 random bytes, shown once, kept under the organization's data key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_secrets::{envelope, places};
use tidegate_store::Change;
use tidegate_store::webhooks::{SealedKey, WebhookId};
use tidegate_telemetry::entropy;
use tidegate_types::Secret;

use crate::problem::Problem;
use crate::state::App;

/// A new secret, as it is shown and as it is kept.
pub(super) async fn make(
    app: &App,
    change: &mut Change,
    id: WebhookId,
    secret_version: u32,
) -> Result<(Secret, SealedKey), Problem> {
    let mut bytes = [0; 32];
    entropy::fill(&mut bytes);
    let text = Secret::new(format!("whsec_{}", STANDARD.encode(bytes)));
    let organization = change.organization_id();
    let data_key = app.vault.data_key(change).await?;
    let place = places::webhook(organization, id.to_u128(), secret_version);
    let sealed = envelope::seal(&data_key.key, &place, text.expose().as_bytes()).map_err(|error| {
        tracing::error!(%error, "a webhook's secret could not be encrypted");
        Problem::internal()
    })?;
    Ok((text, SealedKey { secret_version, data_key_version: data_key.version, bytes: sealed }))
}
