//! Makes a new key-encryption key (`tidegate keygen`).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_telemetry::entropy;
use tidegate_types::Secret;
use zeroize::Zeroizing;

use crate::SecretsError;

/// A new key-encryption key as text, for a file or the environment.
#[must_use]
pub fn key_encryption_key() -> Secret {
    let mut bytes = Zeroizing::new([0u8; 32]);
    entropy::fill(bytes.as_mut());
    Secret::new(STANDARD.encode(bytes.as_ref()))
}

/// Writes a new key-encryption key to a file that only its owner can read (0400).
///
/// # Errors
/// [`SecretsError::KeyFileNotCreated`]; an existing file is never overwritten, for what it wrapped
/// would be lost.
pub fn write_key_encryption_key(path: &Path) -> Result<(), SecretsError> {
    let create = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
        file.write_all(key_encryption_key().expose().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    create().map_err(|_: std::io::Error| SecretsError::KeyFileNotCreated)
}
