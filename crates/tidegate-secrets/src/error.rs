//! What can go wrong with a secret; never what the secret was.

/// Why a secret could not be made, read or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// The key-encryption key's file cannot be read.
    #[error("the key file cannot be read")]
    KeyFileUnreadable,
    /// The key-encryption key's file can be read by others than its owner.
    #[error("the key file can be read by its group or by everybody; chmod 0400 it")]
    KeyFileExposed,
    /// Not 32 random bytes in base64, as `tidegate keygen` writes them.
    #[error("not a key as `tidegate keygen` writes it (32 bytes in base64)")]
    MalformedKey,
    /// A key file of this name exists already, or its folder cannot be written.
    #[error("the key file cannot be created (it is never overwritten)")]
    KeyFileNotCreated,
    /// Another key, another place, or changed bytes.
    #[error("cannot be decrypted: other key, other place or changed bytes")]
    NotDecrypted,
    /// The bytes do not have the form of what was asked for.
    #[error("malformed secret material")]
    MalformedMaterial,
    /// A password could not be hashed, or a stored hash is malformed.
    #[error("password hashing failed")]
    PasswordHash,
    /// A session token is expired, foreign, altered or malformed.
    #[error("not a valid session token")]
    InvalidSession,
    /// Whoever keeps the root keys (Vault, a KMS) did not do it; says what it said of itself.
    #[error("the keeper of root keys: {0}")]
    Wrapper(&'static str),
    /// A certificate or certificate request is not acceptable.
    #[error("certificate refused: {0}")]
    Certificate(&'static str),
}
