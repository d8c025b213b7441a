//! New pool keys and peppers. Nodes hear of a pool's new key on their streams before any credential that is
//! sealed under it; the old one opens until then.

use tidegate_secrets::envelope::{self, DataKey};
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::virtual_key::{PepperBytes, Peppers};
use tidegate_secrets::{SecretsError, places};
use tidegate_store::credentials::{self, Lacking};
use tidegate_store::wrapped::{self, Wrapped};
use tidegate_store::{AuditNote, Change, root_keys};
use tidegate_telemetry::entropy;
use tidegate_types::resource::Credential;
use tidegate_types::{OrganizationId, Secret};
use zeroize::Zeroizing;

use crate::KeyringError;
use crate::error::Left;
use crate::ring::ACTOR;
use crate::rotation::{SEEN, Work};

pub(crate) async fn rotate_key(work: &Work<'_>) -> Result<(), KeyringError> {
    let ring = work.ring;
    let pools = match &work.rotation.pool {
        Some(pool) => vec![pool.clone()],
        None => {
            let mut tx = ring.store.begin(&ACTOR.acting_for(OrganizationId::SYSTEM)).await?;
            wrapped::pools(&mut tx).await?
        }
    };
    let mut fresh = Vec::new();
    for pool in pools {
        fresh.push(renew(work, &pool).await?);
    }
    let organizations = root_keys::organizations(&ring.store).await?;
    let total = organizations.len() as u64;
    let remembered = &work.rotation.left;
    if remembered.is_empty() {
        // Nodes hear of it on their streams.
        tokio::time::sleep(SEEN).await;
    } else {
        // All others have their new seal: as long as these have none, there is nothing to look for there.
        let left: Vec<_> = organizations.iter().copied().filter(|id| remembered.contains(id)).collect();
        seal_all(work, &left, &fresh, total).await?.none_left()?;
    }
    // Twice: a change that began before may still have sealed under the old one.
    let mut sealed = Sealed::default();
    for _ in 0..2 {
        sealed = seal_all(work, &organizations, &fresh, total).await?;
        tokio::time::sleep(SEEN).await;
    }
    // What is left opens with the old key only. It is tried again, also by control planes of the later release.
    sealed.none_left()?;
    for secrets in &fresh {
        let mut change = ring.change(OrganizationId::SYSTEM).await?;
        root_keys::forget_pool_keys(&mut change, &secrets.pool, secrets.version).await?;
        commit(change, "keys.pool.forget_old", &secrets.pool).await?;
    }
    work.note(total, total, None).await
}

/// What came of a walk through organizations: whose credentials could not be sealed, and why that of the last one not.
#[derive(Default)]
struct Sealed {
    left: Vec<OrganizationId>,
    why: Option<KeyringError>,
}

impl Sealed {
    fn none_left(self) -> Result<(), KeyringError> {
        match self.why {
            Some(why) => Err(KeyringError::Left(Box::new(Left { organizations: self.left, why }))),
            None => Ok(()),
        }
    }
}

/// Seals the credentials of these organizations; what is wrong with one keeps no other one from it.
async fn seal_all(
    work: &Work<'_>,
    organizations: &[OrganizationId],
    fresh: &[PoolSecrets],
    total: u64,
) -> Result<Sealed, KeyringError> {
    let (mut sealed, others) = (Sealed::default(), total.saturating_sub(organizations.len() as u64));
    for (done, organization) in organizations.iter().enumerate() {
        match seal_anew(work, *organization, fresh).await {
            Err(error) if error.is_of_one() => {
                sealed.left.push(*organization);
                sealed.why = Some(error);
            }
            one => one?,
        }
        if done % 20 == 0 {
            work.note(others + done as u64, total, None).await?;
        }
    }
    Ok(sealed)
}

/// The pool's key that is younger than the rotation.
async fn renew(work: &Work<'_>, pool: &str) -> Result<PoolSecrets, KeyringError> {
    let ring = work.ring;
    let mut change = ring.change(OrganizationId::SYSTEM).await?;
    let keys = wrapped::pool_keys(&mut change, pool).await?;
    let newest = keys.first().ok_or(SecretsError::MalformedMaterial)?;
    // For sealing credentials alone: peppers are told to nodes by others.
    let peppers = Peppers::new(&[PepperBytes { version: 0, bytes: [0; 32] }])?;
    let made = wrapped::pool_key_made_at(&mut change, pool, newest.version).await?;
    let (version, key) = if made >= work.rotation.started_at {
        (newest.version, ring.kek.unwrap_key(&places::pool_key(pool, newest.version), &newest.bytes)?)
    } else if keys.len() > 1 {
        // Nodes hold two: what an earlier rotation has left would open nowhere any more.
        return Err(
            SecretsError::Wrapper("two keys of the pool live; another rotation has to end first").into()
        );
    } else {
        let (version, key) = (newest.version + 1, DataKey::generate());
        let bytes = ring.kek.wrap_key(&places::pool_key(pool, version), &key)?;
        wrapped::insert_pool_key(&mut change, pool, &Wrapped { version, bytes }).await?;
        commit(change, "keys.pool.create", pool).await?;
        (version, key)
    };
    Ok(PoolSecrets { pool: pool.to_owned(), version, key, peppers })
}

/// Seals an organization's credentials for the pools whose key is new.
async fn seal_anew(
    work: &Work<'_>,
    organization: OrganizationId,
    fresh: &[PoolSecrets],
) -> Result<(), KeyringError> {
    let mut change = work.ring.change(organization).await?;
    let mut lacking =
        Lacking::new(|credential: &Credential| sealed_before(credential, fresh).next().is_some());
    let mut changed = 0;
    while let Some(credential) = lacking.next(&mut change).await? {
        let (version, secret) = open(work, &mut change, &credential).await?;
        let seal = |pool: &PoolSecrets| pool.seal_credential(organization, credential.id, version, &secret);
        let seals = sealed_before(&credential, fresh).map(seal).collect::<Result<_, _>>()?;
        credentials::put_seals(&mut change, credential, seals).await?;
        changed += 1;
    }
    if changed > 0 {
        commit(change, "keys.pool.seal_anew", &format!("{changed} credentials")).await?;
    }
    Ok(())
}

/// The pools for which it is sealed under a key from before.
fn sealed_before<'f>(
    credential: &Credential,
    fresh: &'f [PoolSecrets],
) -> impl Iterator<Item = &'f PoolSecrets> {
    fresh.iter().filter(|secrets| {
        credential.sealed.iter().any(|s| s.pool == secrets.pool && s.pool_key_version < secrets.version)
    })
}

async fn open(
    work: &Work<'_>,
    change: &mut Change,
    credential: &Credential,
) -> Result<(u32, Secret), KeyringError> {
    let kept = credentials::envelope(change, credential.id).await?;
    let keys = wrapped::data_keys(change).await?;
    let key =
        keys.iter().find(|key| key.version == kept.data_key_version).ok_or(SecretsError::NotDecrypted)?;
    let place = places::data_key(credential.organization_id, key.version);
    let key = work.ring.kek.unwrap_key(&place, &key.bytes)?;
    let place = places::credential(credential.organization_id, credential.id, kept.secret_version);
    let plain = envelope::open(&key, &place, &kept.ciphertext)?;
    let text = std::str::from_utf8(&plain).map_err(|_| SecretsError::MalformedMaterial)?;
    Ok((kept.secret_version, Secret::new(text)))
}

/// A new pepper; new keys are hashed with it when every node has it. The one before retires when no key uses
/// it any more; while two live, there is no third.
pub(crate) async fn rotate_pepper(work: &Work<'_>) -> Result<(), KeyringError> {
    let ring = work.ring;
    let mut change = ring.change(OrganizationId::SYSTEM).await?;
    let live = wrapped::peppers(&mut change).await?;
    let newest = live.first().ok_or(SecretsError::MalformedMaterial)?;
    if wrapped::pepper_made_at(&mut change, newest.version).await? < work.rotation.started_at {
        if live.len() >= 2 {
            return Err(
                SecretsError::Wrapper("two peppers live; rotate the keys that use the older one").into()
            );
        }
        let version = newest.version + 1;
        let mut bytes = Zeroizing::new([0; 32]);
        entropy::fill(bytes.as_mut());
        let bytes = ring.kek.wrap(&places::pepper(version), bytes.as_ref())?;
        wrapped::insert_pepper(&mut change, &Wrapped { version, bytes }).await?;
        commit(change, "keys.pepper.create", &format!("pepper {version}")).await?;
    } else {
        drop(change);
    }
    tokio::time::sleep(SEEN).await;
    work.note(1, 1, None).await
}

async fn commit(change: Change, action: &'static str, object: &str) -> Result<(), KeyringError> {
    let object = object.to_owned();
    change.commit(AuditNote { action, object, before: None, after: None }).await?;
    Ok(())
}
