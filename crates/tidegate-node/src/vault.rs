//! Secrets that are open in memory only: the pool's keys and peppers, and credentials opened with
//! them.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::RwLock;
use tidegate_proto::config::PoolKey;
use tidegate_proxy::{SignIn, Vault};
use tidegate_secrets::SecretsError;
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::virtual_key::Peppers;
use tidegate_types::CredentialId;
use tidegate_types::resource::{Credential, SealedSecret};

use crate::identity::Identity;

/// The node's opened secrets.
pub(crate) struct NodeVault {
    pool: String,
    /// Newest version first, two at most.
    pool_secrets: ArcSwap<Vec<Arc<PoolSecrets>>>,
    /// Those of the newest version: they hold the old pepper as well while keys use it.
    peppers: ArcSwapOption<Peppers>,
    opened: RwLock<ahash::AHashMap<CredentialId, Opened>>,
}

struct Opened {
    /// What it was opened from, by the nonce that is never used twice. Versions may be: a database that was restored
    /// gives them again.
    nonce: Option<Nonce>,
    sign_in: Arc<SignIn>,
}

type Nonce = [u8; 12];

impl NodeVault {
    pub(crate) fn new(pool: &str) -> Self {
        Self {
            pool: pool.to_owned(),
            pool_secrets: ArcSwap::default(),
            peppers: ArcSwapOption::empty(),
            opened: RwLock::default(),
        }
    }

    /// Opens a pool key that was sealed to this node and uses it from now on.
    pub(crate) fn unlock(&self, identity: &Identity, key: &PoolKey) -> Result<(), SecretsError> {
        let secrets = PoolSecrets::open_on_node(
            &identity.pool,
            key.version,
            identity.node_id,
            &identity.sealing,
            &key.sealed,
        )?;
        let mut held: Vec<_> = self.pool_secrets.load().iter().cloned().collect();
        held.retain(|one| one.version != secrets.version);
        held.push(Arc::new(secrets));
        held.sort_by_key(|one| std::cmp::Reverse(one.version));
        held.truncate(2);
        self.peppers.store(held.first().map(|newest| Arc::new(newest.peppers.clone())));
        self.pool_secrets.store(Arc::new(held));
        Ok(())
    }

    /// Whether keys can be checked and credentials opened.
    pub(crate) fn is_open(&self) -> bool {
        !self.pool_secrets.load().is_empty()
    }

    fn open(&self, credential: &Credential, sealed: &SealedSecret) -> Option<SignIn> {
        let held = self.pool_secrets.load();
        let secrets = held.iter().find(|secrets| secrets.version == sealed.pool_key_version)?;
        let secret = secrets.open_credential(credential.organization_id, credential.id, sealed).ok()?;
        SignIn::open(credential.form, &secret).ok()
    }
}

impl Vault for NodeVault {
    fn peppers(&self) -> Option<Arc<Peppers>> {
        self.peppers.load_full()
    }

    fn sign_in(&self, credential: &Credential) -> Option<Arc<SignIn>> {
        let held = self.pool_secrets.load();
        let opens = |version: u32| held.iter().any(|secrets| secrets.version == version);
        let mine = credential
            .sealed
            .iter()
            .filter(|sealed| sealed.pool == self.pool && opens(sealed.pool_key_version));
        let sealed = mine.max_by_key(|sealed| (sealed.secret_version, sealed.pool_key_version))?;
        let nonce = sealed.bytes.first_chunk().copied();
        let known = |opened: &&Opened| opened.nonce == nonce;
        if let Some(opened) = self.opened.read().get(&credential.id).filter(known) {
            return Some(Arc::clone(&opened.sign_in));
        }
        let sign_in = Arc::new(self.open(credential, sealed)?);
        // Whoever was first stays: a sign-in keeps its access token, and all calls share that one.
        let mut all = self.opened.write();
        if let Some(opened) = all.get(&credential.id).filter(known) {
            return Some(Arc::clone(&opened.sign_in));
        }
        all.insert(credential.id, Opened { nonce, sign_in: Arc::clone(&sign_in) });
        Some(sign_in)
    }
}
