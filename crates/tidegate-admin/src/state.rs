//! What every handler works with: store, keys, clock. Built once, cheap to clone.

use std::sync::Arc;

use tidegate_keyring::{Keyring, KeyringError};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::session::SessionKeys;
use tidegate_store::{Store, StoreError};
use tidegate_telemetry::entropy;
use tidegate_types::Clock;
use tidegate_types::id::{Id, IdKind};

use crate::passwords::Passwords;
use crate::problem::Problem;
use crate::throttle::Throttle;
use crate::trial::{self, CredentialTester};
use crate::vault::Vault;

/// Issuer of session tokens.
const ISSUER: &str = "tidegate";

/// The management API's state.
#[derive(Clone)]
pub struct App {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) sessions: SessionKeys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) public_url: Arc<str>,
    pub(crate) tester: Arc<dyn CredentialTester>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl App {
    /// Prepares the API over a connected store. `public_url`: how people reach it (scheme, host,
    /// port), for sign-in links. Makes the key material that is missing.
    ///
    /// # Errors
    /// When the database is away, or the key-encryption key is not that of the database.
    pub async fn open(
        store: Store,
        kek: KeyEncryptionKey,
        clock: Arc<dyn Clock>,
        public_url: &str,
    ) -> Result<Self, AdminError> {
        tidegate_keyring::make_missing(&store, &kek, clock.now()).await?;
        let app = Self {
            sessions: Keyring::session_keys(&store, &kek, ISSUER, clock.now()).await?,
            vault: Vault::new(kek),
            passwords: Passwords::default(),
            throttle: Arc::default(),
            public_url: public_url.trim_end_matches('/').into(),
            tester: trial::nobody(),
            store,
            clock,
        };
        // Opening them proves that this is the right key-encryption key.
        app.vault.pools(&app.store).await.map_err(AdminError::from)?;
        Ok(app)
    }

    /// The same with somebody who has nodes try credentials.
    #[must_use]
    pub fn with_tester(self, tester: Arc<dyn CredentialTester>) -> Self {
        Self { tester, ..self }
    }

    /// A new id, made now.
    pub(crate) fn new_id<K: IdKind>(&self) -> Id<K> {
        entropy::new_id(self.clock.now())
    }
}

/// Why the management API could not do something that nobody asked for over HTTP.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Away,
    /// Key material does not open, or something else is wrong; it has been logged.
    #[error("{0}")]
    Refused(String),
    /// The installation has its platform administrator already.
    #[error("there is a platform administrator already; ask them for a sign-in link")]
    AlreadyDone,
}

impl From<KeyringError> for AdminError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(StoreError::Unavailable(_)) => Self::Away,
            error => Self::Refused(error.to_string()),
        }
    }
}

impl From<Problem> for AdminError {
    fn from(problem: Problem) -> Self {
        if problem.code == "unavailable" { Self::Away } else { Self::Refused(problem.detail) }
    }
}
