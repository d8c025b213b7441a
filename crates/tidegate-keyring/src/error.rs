//! Why a keyring could not do something.

use tidegate_secrets::SecretsError;
use tidegate_store::StoreError;

/// Why a keyring could not do something.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Key material.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// A root key was wrapped by a keeper that is not configured.
    #[error(
        "root key {version} was wrapped by {wrapper}, which is not configured (it may be a previous key)"
    )]
    Unconfigured {
        /// The root key.
        version: u32,
        /// Who wrapped it.
        wrapper: String,
    },
}
