//! Key material at work: peppers, pool keys and data keys, unwrapped for one operation at a time.
//!
//! Nothing is cached: a rotation by another control plane takes effect at once. The rows are
//! made by whoever needs them first; the insert of a version happens once.

use tidegate_secrets::ca::CertificateAuthority;
use tidegate_secrets::envelope::DataKey;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::virtual_key::{PepperBytes, Peppers};
use tidegate_secrets::{SecretsError, places};
use tidegate_store::wrapped::{self, Wrapped};
use tidegate_store::{Change, Store, SystemActor, TenantTx};
use tidegate_types::OrganizationId;

use crate::problem::Problem;

/// The key-encryption key and what it unwraps. No Debug of keys.
#[derive(Clone)]
pub(crate) struct Vault {
    kek: KeyEncryptionKey,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

/// A data key with its version.
pub(crate) struct VersionedKey {
    pub(crate) version: u32,
    pub(crate) key: DataKey,
}

const ACTOR: SystemActor = SystemActor::new("vault");

impl Vault {
    pub(crate) const fn new(kek: KeyEncryptionKey) -> Self {
        Self { kek }
    }

    /// A first key for a pool.
    pub(crate) fn new_pool_key(&self, pool: &str) -> Result<Wrapped, Problem> {
        tidegate_keyring::first_pool_key(&self.kek, pool).map_err(broken)
    }

    /// One version of the bound organization's data key.
    pub(crate) async fn data_key_of(&self, tx: &mut TenantTx, version: u32) -> Result<DataKey, Problem> {
        let keys = wrapped::data_keys(tx).await?;
        let key = keys.iter().find(|key| key.version == version).ok_or_else(Problem::internal)?;
        let place = places::data_key(tx.organization_id(), version);
        self.kek.unwrap_key(&place, &key.bytes).map_err(broken)
    }

    /// The bound organization's newest data key, made when there is none.
    pub(crate) async fn data_key(&self, change: &mut Change) -> Result<VersionedKey, Problem> {
        let organization = change.organization_id();
        if wrapped::data_keys(change).await?.is_empty() {
            let key = DataKey::generate();
            let bytes = self.kek.wrap_key(&places::data_key(organization, 1), &key).map_err(broken)?;
            wrapped::insert_data_key(change, &Wrapped { version: 1, bytes }).await?;
        }
        let keys = wrapped::data_keys(change).await?;
        let newest = keys.first().ok_or_else(Problem::internal)?;
        let place = places::data_key(organization, newest.version);
        let key = self.kek.unwrap_key(&place, &newest.bytes).map_err(broken)?;
        Ok(VersionedKey { version: newest.version, key })
    }

    /// The installation's roots, the signing one first, and what signs with it. For platform roles.
    pub(crate) async fn authority(
        &self,
        store: &Store,
    ) -> Result<(CertificateAuthority, Vec<Vec<u8>>), Problem> {
        let mut tx = store.begin(&ACTOR.acting_for(OrganizationId::SYSTEM)).await?;
        let all = wrapped::authorities(&mut tx).await?;
        let newest = all.first().ok_or_else(Problem::internal)?;
        let place = places::certificate_authority(newest.version);
        let key = self.kek.unwrap(&place, &newest.wrapped_key).map_err(broken)?;
        let authority = CertificateAuthority::from_parts(&newest.certificate, &key).map_err(broken)?;
        Ok((authority, all.into_iter().map(|one| one.certificate).collect()))
    }

    /// The peppers in use.
    pub(crate) async fn peppers(&self, store: &Store) -> Result<Peppers, Problem> {
        let mut tx = store.begin(&ACTOR.acting_for(OrganizationId::SYSTEM)).await?;
        self.peppers_in(&mut tx).await
    }

    async fn peppers_in(&self, tx: &mut TenantTx) -> Result<Peppers, Problem> {
        let mut rows = wrapped::peppers(tx).await?;
        rows.truncate(2);
        // New keys are not hashed with a pepper that some nodes may not have yet.
        if rows.len() == 2 && wrapped::newest_pepper_is_young(tx).await? {
            rows.reverse();
        }
        let open = |row: &Wrapped| {
            let opened = self.kek.unwrap(&places::pepper(row.version), &row.bytes)?;
            let bytes = opened.as_slice().try_into().map_err(|_| SecretsError::MalformedMaterial)?;
            Ok(PepperBytes { version: row.version, bytes })
        };
        let peppers: Vec<PepperBytes> =
            rows.iter().take(2).map(open).collect::<Result<_, _>>().map_err(broken)?;
        Peppers::new(&peppers).map_err(broken)
    }

    /// Every pool with its newest key: what a credential is sealed for.
    pub(crate) async fn pools(&self, store: &Store) -> Result<Vec<PoolSecrets>, Problem> {
        let mut tx = store.begin(&ACTOR.acting_for(OrganizationId::SYSTEM)).await?;
        let names = wrapped::pools(&mut tx).await?;
        self.pools_in(&mut tx, &names).await
    }

    /// These pools with their newest keys. For platform roles.
    pub(crate) async fn pools_in(
        &self,
        tx: &mut TenantTx,
        names: &[String],
    ) -> Result<Vec<PoolSecrets>, Problem> {
        let peppers = self.peppers_in(tx).await?;
        let mut pools = Vec::new();
        for pool in names {
            let keys = wrapped::pool_keys(tx, pool).await?;
            let Some(newest) = keys.first() else { continue };
            let place = places::pool_key(pool, newest.version);
            let key = self.kek.unwrap_key(&place, &newest.bytes).map_err(broken)?;
            let peppers = peppers.clone();
            pools.push(PoolSecrets { pool: pool.clone(), version: newest.version, key, peppers });
        }
        Ok(pools)
    }
}

/// Key material that does not open: another key-encryption key, or damaged rows.
fn broken(error: SecretsError) -> Problem {
    tracing::error!(%error, "key material cannot be used; is this the key-encryption key of this database?");
    Problem::internal()
}
