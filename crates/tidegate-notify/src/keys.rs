//! Opening a webhook's secret: data key of the organization, then the secret itself.

use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::{envelope, places};
use tidegate_store::webhooks::{Due, SealedKey};
use tidegate_store::{Store, SystemActor, wrapped};

use crate::sign;

const ACTOR: SystemActor = SystemActor::new("notify");

/// The keys that sign a delivery, the present one first. Empty: none opens.
pub(crate) async fn signing(
    store: &Store,
    kek: &KeyEncryptionKey,
    due: &Due,
) -> tidegate_store::Result<Vec<Vec<u8>>> {
    let mut tx = store.begin(&ACTOR.acting_for(due.organization_id)).await?;
    let data_keys = wrapped::data_keys(&mut tx).await?;
    let open = |sealed: &SealedKey| {
        let data_key = data_keys.iter().find(|key| key.version == sealed.data_key_version)?;
        let place = places::data_key(due.organization_id, data_key.version);
        let data_key = kek.unwrap_key(&place, &data_key.bytes).ok()?;
        let place = places::webhook(due.organization_id, due.webhook_id.to_u128(), sealed.secret_version);
        let text = envelope::open(&data_key, &place, &sealed.bytes).ok()?;
        sign::key(std::str::from_utf8(&text).ok()?)
    };
    let Some(present) = open(&due.secret) else { return Ok(Vec::new()) };
    let old = due.old_secret.as_ref().and_then(open);
    Ok([Some(present), old].into_iter().flatten().collect())
}
