//! Key material: made on the first start of a control plane, opened on every start.
//!
//! Several control planes may start at once: each inserts if absent and then reads what is there,
//! so that all end with the same material.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tidegate_secrets::SecretsError;
use tidegate_secrets::ca::{self, CertificateAuthority};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::places;
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::virtual_key::{PepperBytes, Peppers};
use tidegate_store::wrapped::{self, Wrapped};
use tidegate_store::{Store, SystemActor, TenantTx};
use tidegate_types::{OrganizationId, Timestamp};

use crate::PushError;

const ACTOR: SystemActor = SystemActor::new("material");
/// For so long a pool's secrets are not looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// Keys of one pool that a node holds: while one is replaced, what is sealed under the one before must open, too.
const LIVE: usize = 2;

/// The secrets of a pool under each of its keys, the newest first.
type Secrets = Vec<Arc<PoolSecrets>>;

/// When the secrets of a pool were last looked at, and what they were.
type Seen = HashMap<String, (Instant, Secrets)>;

/// The opened key material of an installation. No Debug.
#[derive(Clone)]
pub struct Material {
    /// Signs nodes and this control plane's own certificate.
    pub authority: Arc<CertificateAuthority>,
    /// Every root that is trusted, the signing one first.
    pub roots: Vec<CertificateDer<'static>>,
    /// The secrets of each pool at the start, at their newest version.
    pub pools: HashMap<String, Arc<PoolSecrets>>,
    /// Those as they were when last looked at, and what opens them.
    seen: Arc<Mutex<Seen>>,
    kek: KeyEncryptionKey,
}

impl Material {
    /// The trusted roots in PEM: what a node that is not enrolled yet is configured with.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        ca::roots_pem(self.roots.iter().map(AsRef::as_ref))
    }

    /// The secrets of a pool as they are now, a second old at most, also of one that was made after the start;
    /// none: there is no such pool.
    pub(crate) async fn pool(&self, store: &Store, name: &str) -> Result<Secrets, PushError> {
        let known = self.seen.lock().get(name).filter(|(at, _)| at.elapsed() < FRESH).cloned();
        if let Some((_, known)) = known {
            return Ok(known);
        }
        let mut tx = store.begin(&ACTOR.acting_for(OrganizationId::SYSTEM)).await?;
        let peppers = open_peppers(&wrapped::peppers(&mut tx).await?, &self.kek)?;
        let opened = open_pool(&mut tx, &self.kek, name, &peppers).await?;
        if !opened.is_empty() {
            self.seen.lock().insert(name.to_owned(), (Instant::now(), opened.clone()));
        }
        Ok(opened)
    }
}

/// Makes what is missing (authority, pepper, pool keys, the system's data key) and opens it all.
///
/// # Errors
/// [`PushError::ForeignKey`] when it was wrapped by another key-encryption key;
/// [`PushError::Store`] and [`PushError::Keyring`] when the database is away.
pub async fn prepare(store: &Store, kek: &KeyEncryptionKey, now: Timestamp) -> Result<Material, PushError> {
    tidegate_keyring::make_missing(store, kek, now).await?;
    let mut tx = store.begin(&ACTOR.acting_for(OrganizationId::SYSTEM)).await?;
    open(&mut tx, kek).await
}

async fn open(tx: &mut TenantTx, kek: &KeyEncryptionKey) -> Result<Material, PushError> {
    let authorities = wrapped::authorities(tx).await?;
    let newest = authorities.first().ok_or(SecretsError::MalformedMaterial)?;
    let key = kek
        .unwrap(&places::certificate_authority(newest.version), &newest.wrapped_key)
        .map_err(|_| PushError::ForeignKey)?;
    let authority = CertificateAuthority::from_parts(&newest.certificate, &key)?;
    let roots = authorities.iter().map(|row| CertificateDer::from(row.certificate.clone())).collect();
    let peppers = open_peppers(&wrapped::peppers(tx).await?, kek)?;
    let mut pools = HashMap::new();
    for pool in wrapped::pools(tx).await? {
        let opened = open_pool(tx, kek, &pool, &peppers).await?;
        let newest = opened.into_iter().next().ok_or(SecretsError::MalformedMaterial)?;
        pools.insert(pool, newest);
    }
    let (seen, kek) = (Arc::default(), kek.clone());
    Ok(Material { authority: Arc::new(authority), roots, pools, seen, kek })
}

async fn open_pool(
    tx: &mut TenantTx,
    kek: &KeyEncryptionKey,
    pool: &str,
    peppers: &Peppers,
) -> Result<Secrets, PushError> {
    let keys = wrapped::pool_keys(tx, pool).await?;
    let open = |Wrapped { version, bytes }: &Wrapped| {
        let place = places::pool_key(pool, *version);
        let key = kek.unwrap_key(&place, bytes).map_err(|_| PushError::ForeignKey)?;
        let (pool, peppers) = (pool.to_owned(), peppers.clone());
        Ok(Arc::new(PoolSecrets { pool, version: *version, key, peppers }))
    };
    keys.iter().take(LIVE).map(open).collect()
}

fn open_peppers(rows: &[Wrapped], kek: &KeyEncryptionKey) -> Result<Peppers, PushError> {
    let open = |row: &Wrapped| {
        let bytes =
            kek.unwrap(&places::pepper(row.version), &row.bytes).map_err(|_| PushError::ForeignKey)?;
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| SecretsError::MalformedMaterial)?;
        Ok(PepperBytes { version: row.version, bytes })
    };
    // Newest first: the current one, and at most one that still has live keys.
    let peppers = rows.iter().take(2).map(open).collect::<Result<Vec<_>, PushError>>()?;
    Ok(Peppers::new(&peppers)?)
}
