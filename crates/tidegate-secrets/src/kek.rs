//! The key-encryption key: wraps every other key, is given by file or environment, is never stored.
//!
//! A KMS or Vault would stand behind the same two verbs, wrap and unwrap.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_types::Secret;
use zeroize::Zeroizing;

use crate::SecretsError;
use crate::envelope::{self, Aad, DataKey, derive};

/// The key-encryption key. No Debug; wiped when dropped.
#[derive(Clone)]
pub struct KeyEncryptionKey {
    bytes: Zeroizing<[u8; 32]>,
    wrapping: DataKey,
}

impl KeyEncryptionKey {
    /// Reads the key from a file that only its owner may read.
    ///
    /// # Errors
    /// When the file cannot be read, is readable by group or everybody, or holds no key.
    pub fn from_file(path: &Path) -> Result<Self, SecretsError> {
        let mut file = File::open(path).map_err(|_| SecretsError::KeyFileUnreadable)?;
        // The open file is asked, not the path: nobody can swap it in between.
        let mode = file.metadata().map_err(|_| SecretsError::KeyFileUnreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(SecretsError::KeyFileExposed);
        }
        let mut text = Zeroizing::new(String::with_capacity(128));
        let read = (&mut file).take(128).read_to_string(&mut text);
        read.map_err(|_| SecretsError::KeyFileUnreadable)?;
        Self::from_text(&text)
    }

    /// Reads the key from a text, as found in the environment.
    ///
    /// # Errors
    /// [`SecretsError::MalformedKey`] unless it is 32 bytes in base64 that are not all alike.
    pub fn from_secret(text: &Secret) -> Result<Self, SecretsError> {
        Self::from_text(text.expose())
    }

    fn from_text(text: &str) -> Result<Self, SecretsError> {
        let decoded =
            STANDARD.decode(text.trim()).map(Zeroizing::new).map_err(|_| SecretsError::MalformedKey)?;
        let bytes: [u8; 32] = decoded.as_slice().try_into().map_err(|_| SecretsError::MalformedKey)?;
        if bytes.windows(2).all(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(SecretsError::MalformedKey);
        }
        Ok(Self::from_bytes(bytes))
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let wrapping = DataKey::from_bytes(&derive(&bytes, b"tidegate key wrapping"));
        Self { bytes: Zeroizing::new(bytes), wrapping }
    }

    /// Encrypts key material for the place that `aad` names (purpose, owner, version).
    ///
    /// # Errors
    /// As [`envelope::seal`].
    pub fn wrap(&self, aad: &Aad, material: &[u8]) -> Result<Vec<u8>, SecretsError> {
        envelope::seal(&self.wrapping, aad, material)
    }

    /// Opens what [`KeyEncryptionKey::wrap`] wrote for the same place.
    ///
    /// # Errors
    /// [`SecretsError::NotDecrypted`].
    pub fn unwrap(&self, aad: &Aad, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        envelope::open(&self.wrapping, aad, wrapped)
    }

    /// Wraps a data key.
    ///
    /// # Errors
    /// As [`envelope::seal`].
    pub fn wrap_key(&self, aad: &Aad, key: &DataKey) -> Result<Vec<u8>, SecretsError> {
        self.wrap(aad, key.expose())
    }

    /// Unwraps a data key.
    ///
    /// # Errors
    /// [`SecretsError::NotDecrypted`], or malformed material when it was no data key.
    pub fn unwrap_key(&self, aad: &Aad, wrapped: &[u8]) -> Result<DataKey, SecretsError> {
        let opened = self.unwrap(aad, wrapped)?;
        let bytes: Zeroizing<[u8; 32]> =
            opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| SecretsError::MalformedMaterial)?;
        Ok(DataKey::from_bytes(&bytes))
    }

    /// A key of its own for one purpose, for example signing sessions.
    pub(crate) fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        derive(self.bytes.as_ref(), purpose)
    }
}
