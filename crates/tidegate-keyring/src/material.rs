//! The key material that an installation begins with: version 1 of whatever has no version yet.

use tidegate_secrets::SecretsError;
use tidegate_secrets::ca::CertificateAuthority;
use tidegate_secrets::envelope::DataKey;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::places;
use tidegate_store::wrapped::{self, Authority, Wrapped};
use tidegate_store::{AuditNote, Change, Store, SystemActor};
use tidegate_telemetry::entropy;
use tidegate_types::{OrganizationId, Timestamp};
use zeroize::Zeroizing;

use crate::KeyringError;

const ACTOR: SystemActor = SystemActor::new("material");

/// Makes what is missing: certificate authority, pepper, the system's data key, a key for each pool.
/// Control planes that start at once end with the same.
///
/// # Errors
/// When the database is away, or the key-encryption key wraps nothing.
pub async fn make_missing(store: &Store, kek: &KeyEncryptionKey, now: Timestamp) -> Result<(), KeyringError> {
    let mut change = store.change(&ACTOR.acting_for(OrganizationId::SYSTEM), now).await?;
    let made = insert_missing(&mut change, kek, now).await?;
    if !made.is_empty() {
        let after = Some(serde_json::json!({ "made": made }));
        let object = "material".to_owned();
        change.commit(AuditNote { action: "material.create", object, before: None, after }).await?;
    }
    Ok(())
}

/// Says what it inserted.
async fn insert_missing(
    change: &mut Change,
    kek: &KeyEncryptionKey,
    now: Timestamp,
) -> Result<Vec<String>, KeyringError> {
    let mut made = Vec::new();
    if wrapped::authorities(change).await?.is_empty() {
        let authority = CertificateAuthority::generate(now)?;
        let wrapped_key = kek.wrap(&places::certificate_authority(1), &authority.expose_key())?;
        let certificate = authority.root().to_vec();
        let row = Authority { version: 1, certificate, wrapped_key, created_at: now };
        if wrapped::insert_authority(change, &row).await? {
            made.push("certificate authority".to_owned());
        }
    }
    if wrapped::peppers(change).await?.is_empty() {
        let mut pepper = Zeroizing::new([0; 32]);
        entropy::fill(pepper.as_mut());
        let bytes = kek.wrap(&places::pepper(1), pepper.as_ref())?;
        if wrapped::insert_pepper(change, &Wrapped { version: 1, bytes }).await? {
            made.push("pepper".to_owned());
        }
    }
    if wrapped::data_keys(change).await?.is_empty() {
        let bytes = kek.wrap_key(&places::data_key(OrganizationId::SYSTEM, 1), &DataKey::generate())?;
        if wrapped::insert_data_key(change, &Wrapped { version: 1, bytes }).await? {
            made.push("data key of the system".to_owned());
        }
    }
    for pool in wrapped::pools(change).await? {
        if wrapped::pool_keys(change, &pool).await?.is_empty()
            && wrapped::insert_pool_key(change, &pool, &first_pool_key(kek, &pool)?).await?
        {
            made.push(format!("key of pool {pool}"));
        }
    }
    Ok(made)
}

/// A pool's first key, wrapped.
///
/// # Errors
/// When the key-encryption key wraps nothing.
pub fn first_pool_key(kek: &KeyEncryptionKey, pool: &str) -> Result<Wrapped, SecretsError> {
    let bytes = kek.wrap_key(&places::pool_key(pool, 1), &DataKey::generate())?;
    Ok(Wrapped { version: 1, bytes })
}
