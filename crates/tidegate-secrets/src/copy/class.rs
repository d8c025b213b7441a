//! The class key: one X25519 key pair for the nodes that may start by the copy.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::SecretsError;
use crate::sealing::SealingKeyPair;

/// Makes a class key. The private half goes to a file that only its owner reads (0400); the public half is answered as
/// text, for the control plane.
///
/// # Errors
/// [`SecretsError::KeyFileNotCreated`]; an existing file is never overwritten.
pub fn write_class_key(path: &Path) -> Result<String, SecretsError> {
    let pair = SealingKeyPair::generate()?;
    let text = Zeroizing::new(STANDARD.encode(pair.expose()));
    let create = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    create().map_err(|_: std::io::Error| SecretsError::KeyFileNotCreated)?;
    Ok(STANDARD.encode(pair.public()))
}

/// Reads the private half.
///
/// # Errors
/// [`SecretsError::KeyFileUnreadable`], [`SecretsError::KeyFileExposed`], [`SecretsError::MalformedKey`].
pub fn read_class_key(path: &Path) -> Result<SealingKeyPair, SecretsError> {
    let mut file = File::open(path).map_err(|_| SecretsError::KeyFileUnreadable)?;
    let mode = file.metadata().map_err(|_| SecretsError::KeyFileUnreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(SecretsError::KeyFileExposed);
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(|_| SecretsError::KeyFileUnreadable)?;
    class_key_from_text(&text)
}

/// The private half from its text.
///
/// # Errors
/// [`SecretsError::MalformedKey`].
pub fn class_key_from_text(text: &str) -> Result<SealingKeyPair, SecretsError> {
    SealingKeyPair::from_bytes(&Zeroizing::new(bytes32(text)?))
}

/// The public half from its text.
///
/// # Errors
/// [`SecretsError::MalformedKey`].
pub fn parse_class_key(text: &str) -> Result<[u8; 32], SecretsError> {
    let key = bytes32(text)?;
    crate::sealing::seal_to(&key, &crate::envelope::Aad::new("check"), b"")
        .map_err(|_| SecretsError::MalformedKey)?;
    Ok(key)
}

fn bytes32(text: &str) -> Result<[u8; 32], SecretsError> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| SecretsError::MalformedKey)?);
    bytes.as_slice().try_into().map_err(|_| SecretsError::MalformedKey)
}
