//! The root keys that this process holds: opened at the start, looked for again each second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_secrets::kek::{KeyEncryptionKey, KeyWrapper, RootKey};
use tidegate_secrets::places;
use tidegate_secrets::session::SessionKeys;
use tidegate_store::root_keys::{self, RootRow};
use tidegate_store::{AuditNote, Change, Store, StoreError, SystemActor};
use tidegate_types::{Clock, OrganizationId, Timestamp};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::KeyringError;

pub(crate) const ACTOR: SystemActor = SystemActor::new("keyring");
/// Between two looks for new root keys.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who keeps root keys.
#[derive(Clone)]
pub struct Wrappers {
    /// Wraps new ones.
    pub current: Arc<dyn KeyWrapper>,
    /// Still opens old ones.
    pub previous: Vec<Arc<dyn KeyWrapper>>,
    /// Local keys, the present one first: in an installation without root keys they wrap everything directly.
    pub local: Vec<RootKey>,
}

/// The keys of this process. No Debug.
#[derive(Clone)]
pub struct Keyring {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wrappers: Wrappers,
    pub(crate) kek: KeyEncryptionKey,
    /// Root keys opened before, by what was opened: their keeper is asked once.
    opened: Arc<Mutex<HashMap<Vec<u8>, RootKey>>>,
}

impl Keyring {
    /// Opens the root keys; makes the first one where there is neither one nor a local key.
    ///
    /// # Errors
    /// When the database or the keeper is away, or a root key's keeper is not configured.
    pub async fn open(store: Store, clock: Arc<dyn Clock>, wrappers: Wrappers) -> Result<Self, KeyringError> {
        let kek = KeyEncryptionKey::new(wrappers.local.clone());
        let ring = Self { store, clock, wrappers, kek, opened: Arc::default() };
        if ring.wrappers.local.is_empty() && ring.rows().await?.is_empty() {
            ring.make_first().await?;
        }
        ring.refresh().await?;
        Ok(ring)
    }

    /// What wraps everything else; follows rotations.
    #[must_use]
    pub fn kek(&self) -> KeyEncryptionKey {
        self.kek.clone()
    }

    /// The secret that signs sessions; it outlives root keys.
    ///
    /// # Errors
    /// When the database is away, or it does not open.
    pub async fn session_keys(
        store: &Store,
        kek: &KeyEncryptionKey,
        issuer: &str,
        now: Timestamp,
    ) -> Result<SessionKeys, KeyringError> {
        const NAME: &str = "sessions";
        let fresh = kek.wrap(&places::installation(NAME), SessionKeys::first_secret(kek)?.as_ref())?;
        let mut change = store.change(&ACTOR.acting_for(OrganizationId::SYSTEM), now).await?;
        let wrapped = root_keys::installation_secret(&mut change, NAME, &fresh).await?;
        if wrapped == fresh {
            let object = NAME.to_owned();
            change.commit(AuditNote { action: "keys.create", object, before: None, after: None }).await?;
        }
        let secret = kek.unwrap(&places::installation(NAME), &wrapped)?;
        Ok(SessionKeys::new(&secret, issuer))
    }

    /// Looks for new root keys until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match self.refresh().await {
                Ok(()) => {}
                Err(KeyringError::Store(error)) => tracing::debug!(%error, "root keys were not looked for"),
                Err(error) => tracing::error!(%error, "a root key cannot be opened"),
            }
        }
    }

    /// A change of an organization's, or above all of them.
    pub(crate) async fn change(&self, of: OrganizationId) -> Result<Change, StoreError> {
        self.store.change(&ACTOR.acting_for(of), self.clock.now()).await
    }

    async fn rows(&self) -> Result<Vec<RootRow>, KeyringError> {
        let mut tx = self.store.begin(&ACTOR.acting_for(OrganizationId::SYSTEM)).await?;
        Ok(root_keys::list(&mut tx).await?)
    }

    /// Holds what the database has: the active root key first.
    pub(crate) async fn refresh(&self) -> Result<(), KeyringError> {
        let mut held = Vec::new();
        let rows = self.rows().await?;
        // One that only waits does not wrap yet: before it, what wraps without root keys.
        let (active, waiting): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.state != "pending");
        for row in &active {
            held.push(self.root(row).await?);
        }
        held.extend(self.wrappers.local.iter().cloned());
        for row in &waiting {
            held.push(self.root(row).await?);
        }
        self.kek.replace(held);
        Ok(())
    }

    async fn root(&self, row: &RootRow) -> Result<RootKey, KeyringError> {
        if let Some(known) = self.opened.lock().await.get(&row.wrapped) {
            return Ok(known.clone());
        }
        let all = std::iter::once(&self.wrappers.current).chain(&self.wrappers.previous);
        let Some(wrapper) = all.into_iter().find(|wrapper| wrapper.name() == row.wrapper) else {
            return Err(KeyringError::Unconfigured { version: row.version, wrapper: row.wrapper.clone() });
        };
        let opened = wrapper.unwrap(&places::root_key(row.version), &row.wrapped).await?;
        let bytes =
            opened.as_slice().try_into().map_err(|_| tidegate_secrets::SecretsError::MalformedMaterial)?;
        let root = RootKey::from_bytes(bytes);
        self.opened.lock().await.insert(row.wrapped.clone(), root.clone());
        Ok(root)
    }

    /// Opens everything above organizations that is sealed, and the root keys, without making anything; how much
    /// that is.
    ///
    /// # Errors
    /// When the database or the keeper is away, or something does not open.
    pub async fn examine(
        store: Store,
        clock: Arc<dyn Clock>,
        wrappers: Wrappers,
    ) -> Result<usize, KeyringError> {
        let kek = KeyEncryptionKey::new(wrappers.local.clone());
        let ring = Self { store, clock, wrappers, kek, opened: Arc::default() };
        let roots = ring.rows().await?.len();
        ring.refresh().await?;
        let mut tx = ring.store.begin(&ACTOR.acting_for(OrganizationId::SYSTEM)).await?;
        let sealed = root_keys::wrapped_above(&mut tx).await?;
        for (place, bytes) in &sealed {
            ring.kek.unwrap(&crate::roots::aad(OrganizationId::SYSTEM, place), bytes)?;
        }
        Ok(roots + sealed.len())
    }

    async fn make_first(&self) -> Result<(), KeyringError> {
        let row = self.wrapped(1, "active").await?;
        let mut change = self.change(OrganizationId::SYSTEM).await?;
        // Somebody else may have been first: then theirs is read.
        if root_keys::insert(&mut change, &row).await? {
            let object = format!("root key 1, kept by {}", row.wrapper);
            change.commit(AuditNote { action: "keys.create", object, before: None, after: None }).await?;
        }
        Ok(())
    }

    /// A new root key, wrapped by the present keeper.
    pub(crate) async fn wrapped(&self, version: u32, state: &str) -> Result<RootRow, KeyringError> {
        let root = RootKey::generate();
        let wrapper = &self.wrappers.current;
        let wrapped = wrapper.wrap(&places::root_key(version), root.expose()).await?;
        Ok(RootRow { version, wrapper: wrapper.name(), wrapped, state: state.to_owned() })
    }
}
