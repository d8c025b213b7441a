//! Why the push plane cannot start or go on.

use tidegate_keyring::KeyringError;
use tidegate_secrets::SecretsError;
use tidegate_secrets::copy::CopyError;
use tidegate_store::StoreError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The database.
    #[error("push: {0}")]
    Store(#[from] StoreError),
    /// Key material cannot be made or opened.
    #[error("push: {0}")]
    Secrets(#[from] SecretsError),
    /// Key material that is missing cannot be made.
    #[error("push: {0}")]
    Keyring(#[from] KeyringError),
    /// The stored key material was wrapped by another key-encryption key.
    #[error("the key-encryption key is not the one under which this database's keys were wrapped")]
    ForeignKey,
    /// A copy of the configuration cannot be published.
    #[error("push: {0}")]
    Copy(#[from] CopyError),
    /// TLS cannot be set up.
    #[error("push: TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The address cannot be listened at.
    #[error("push: cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}
