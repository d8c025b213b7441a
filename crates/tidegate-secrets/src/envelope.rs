//! Envelopes: AES-256-GCM under a data key, bound to the place where the bytes belong.
//!
//! Written as nonce (12 bytes), ciphertext, tag (16 bytes). The associated data names purpose and
//! place with every part length-prefixed, and the key's own fingerprint (GCM alone does not
//! commit to a key), so that a swapped or moved row does not open.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use tidegate_telemetry::entropy;
use zeroize::Zeroizing;

use crate::SecretsError;

const NONCE: usize = 12;

/// A 256-bit key that encrypts data. No Debug; wiped when dropped.
#[derive(Clone)]
pub struct DataKey {
    bytes: Zeroizing<[u8; 32]>,
    cipher: Aes256Gcm,
    fingerprint: [u8; 8],
}

impl DataKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy::fill(bytes.as_mut());
        Self::from_bytes(&bytes)
    }

    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let derived = derive(bytes, b"tidegate envelope key");
        let identity = derive(bytes, b"tidegate key fingerprint");
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(identity.split_at(8).0);
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*derived));
        Self { bytes: Zeroizing::new(*bytes), cipher, fingerprint }
    }

    /// Tells keys apart, and nothing of them.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }

    /// The key's bytes, to be wrapped or sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// HKDF-SHA256 of a key for one purpose.
pub(crate) fn derive(key: &[u8], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    // 32 bytes are always within HKDF's limit of 255 blocks.
    let _ = Hkdf::<Sha256>::new(None, key).expand(purpose, out.as_mut());
    out
}

/// Associated data: the purpose and the parts that say where the bytes belong.
#[derive(Debug, Clone)]
pub struct Aad(Vec<u8>);

impl Aad {
    /// Associated data of this purpose.
    #[must_use]
    pub fn new(purpose: &str) -> Self {
        Self(Vec::with_capacity(128)).with(purpose.as_bytes())
    }

    /// The bytes, for keepers of keys elsewhere.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a part, prefixed by its length.
    #[must_use]
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }
}

/// Encrypts `plain` for the place that `aad` names.
///
/// # Errors
/// [`SecretsError::MalformedMaterial`] when it is longer than AES-GCM allows (64 GiB).
pub fn seal(key: &DataKey, aad: &Aad, plain: &[u8]) -> Result<Vec<u8>, SecretsError> {
    let mut nonce = [0; NONCE];
    entropy::fill(&mut nonce);
    let bound = aad.clone().with(key.fingerprint);
    let payload = Payload { msg: plain, aad: &bound.0 };
    let body =
        key.cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| SecretsError::MalformedMaterial)?;
    let mut out = Vec::with_capacity(NONCE + body.len());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&body);
    Ok(out)
}

/// Opens what [`seal`] wrote for the same place under the same key.
///
/// # Errors
/// [`SecretsError::NotDecrypted`] for anything else; it is never told what differs.
pub fn open(key: &DataKey, aad: &Aad, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE>().ok_or(SecretsError::NotDecrypted)?;
    let bound = aad.clone().with(key.fingerprint);
    let payload = Payload { msg: body, aad: &bound.0 };
    let opened = key.cipher.decrypt(&Nonce::from(*nonce), payload);
    opened.map(Zeroizing::new).map_err(|_| SecretsError::NotDecrypted)
}
