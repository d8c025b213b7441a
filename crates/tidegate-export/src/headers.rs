//! Opening an exporter's headers: data key of the organization, then the headers themselves.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::{envelope, places};
use tidegate_store::exporters::Due;
use tidegate_store::{TenantTx, wrapped};

/// The headers to send; `None`: they do not open, or are none.
pub(crate) async fn open(
    tx: &mut TenantTx,
    kek: &KeyEncryptionKey,
    due: &Due,
) -> tidegate_store::Result<Option<HeaderMap>> {
    let data_keys = wrapped::data_keys(tx).await?;
    Ok(data_keys.iter().find(|key| key.version == due.headers.data_key_version).and_then(|key| {
        let place = places::data_key(due.organization_id, key.version);
        let data_key = kek.unwrap_key(&place, &key.bytes).ok()?;
        let place =
            places::exporter(due.organization_id, due.exporter_id.to_u128(), due.headers.secret_version);
        let json = envelope::open(&data_key, &place, &due.headers.bytes).ok()?;
        let headers: BTreeMap<String, String> = serde_json::from_slice(&json).ok()?;
        headers.into_iter().map(|(name, value)| header(&name, &value)).collect()
    }))
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
}
