//! New data keys: each organization gets one, what is stored under older ones is encrypted anew, then those are
//! forgotten.

use tidegate_secrets::envelope::{self, Aad, DataKey};
use tidegate_secrets::{SecretsError, places};
use tidegate_store::root_keys::{self, Enveloped, EnvelopedKind};
use tidegate_store::wrapped::{self, Wrapped};
use tidegate_store::{AuditNote, Change};
use tidegate_types::{CredentialId, OrganizationId};

use crate::KeyringError;
use crate::ring::Keyring;
use crate::rotation::{SEEN, Work};

pub(crate) async fn rotate(work: &Work<'_>) -> Result<(), KeyringError> {
    let ring = work.ring;
    let organizations = root_keys::organizations(&ring.store).await?;
    let total = organizations.len() as u64;
    let mut fresh = Vec::with_capacity(organizations.len());
    for organization in organizations {
        if let Some(version) = renew(work, organization).await? {
            fresh.push((organization, version));
        }
    }
    // A change that began before may still encrypt under an old one.
    tokio::time::sleep(SEEN).await;
    for (done, (organization, version)) in fresh.iter().enumerate() {
        while encrypt_anew(ring, *organization, *version).await? > 0 {}
        if done % 20 == 0 {
            work.note(done as u64, total, None).await?;
        }
    }
    tokio::time::sleep(SEEN).await;
    for (organization, version) in fresh {
        while encrypt_anew(ring, organization, version).await? > 0 {}
        let mut change = ring.change(organization).await?;
        root_keys::forget_data_keys(&mut change, version).await?;
        commit(change, "keys.data.forget_old", version).await?;
    }
    work.note(total, total, None).await
}

/// A data key that is younger than the rotation; `None` where there was none at all.
async fn renew(work: &Work<'_>, organization: OrganizationId) -> Result<Option<u32>, KeyringError> {
    let ring = work.ring;
    let mut change = ring.change(organization).await?;
    let keys = wrapped::data_keys(&mut change).await?;
    let Some(newest) = keys.first() else { return Ok(None) };
    if wrapped::data_key_made_at(&mut change, newest.version).await? >= work.rotation.started_at {
        return Ok(Some(newest.version));
    }
    let version = newest.version + 1;
    let place = places::data_key(organization, version);
    let bytes = ring.kek.wrap_key(&place, &DataKey::generate())?;
    wrapped::insert_data_key(&mut change, &Wrapped { version, bytes }).await?;
    commit(change, "keys.data.create", version).await?;
    Ok(Some(version))
}

/// Encrypts what lies under other data keys; how much that was.
async fn encrypt_anew(
    ring: &Keyring,
    organization: OrganizationId,
    version: u32,
) -> Result<usize, KeyringError> {
    let mut change = ring.change(organization).await?;
    let old = root_keys::enveloped(&mut change, version).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let keys = wrapped::data_keys(&mut change).await?;
    let open = |version: u32| -> Result<DataKey, KeyringError> {
        let key = keys.iter().find(|key| key.version == version).ok_or(SecretsError::NotDecrypted)?;
        Ok(ring.kek.unwrap_key(&places::data_key(organization, version), &key.bytes)?)
    };
    let fresh = open(version)?;
    for secret in &old {
        let place = place(organization, secret);
        let plain = envelope::open(&open(secret.data_key_version)?, &place, &secret.ciphertext)?;
        let ciphertext = envelope::seal(&fresh, &place, &plain)?;
        root_keys::reenvelop(&mut change, secret, version, &ciphertext).await?;
    }
    commit(change, "keys.data.encrypt_anew", version).await?;
    Ok(old.len())
}

fn place(organization: OrganizationId, secret: &Enveloped) -> Aad {
    match secret.kind {
        EnvelopedKind::Credential => {
            places::credential(organization, CredentialId::from_uuid(secret.id), secret.secret_version)
        }
        EnvelopedKind::Webhook | EnvelopedKind::OldWebhook => {
            places::webhook(organization, secret.id.as_u128(), secret.secret_version)
        }
        EnvelopedKind::Exporter => places::exporter(organization, secret.id.as_u128(), secret.secret_version),
    }
}

async fn commit(change: Change, action: &'static str, version: u32) -> Result<(), KeyringError> {
    let object = format!("data key {version}");
    change.commit(AuditNote { action, object, before: None, after: None }).await?;
    Ok(())
}
