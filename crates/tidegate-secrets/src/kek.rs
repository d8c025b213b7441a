//! The key that wraps every other key, and who keeps it.
//!
//! Two layers: a *wrapper* (a key in a file or in the environment, Vault, a KMS) keeps *root keys*, which wrap
//! everything else here, in memory. So the wrapper is asked at a start only, and its own rotation touches
//! the root keys alone. An installation with a local key and no root key of its own uses that key directly.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_telemetry::entropy;
use tidegate_types::Secret;
use zeroize::Zeroizing;

use crate::SecretsError;
use crate::envelope::{self, Aad, DataKey, derive};

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who keeps root keys: it wraps and unwraps 32 bytes for the place that `place` names.
pub trait KeyWrapper: Send + Sync + 'static {
    /// Which wrapper and which of its keys, without secrets: kept beside what it wrapped.
    fn name(&self) -> String;

    /// Wraps key material.
    fn wrap<'a>(&'a self, place: &'a Aad, material: &'a [u8]) -> Later<'a, Result<Vec<u8>, SecretsError>>;

    /// Opens what it wrapped for the same place.
    fn unwrap<'a>(
        &'a self,
        place: &'a Aad,
        wrapped: &'a [u8],
    ) -> Later<'a, Result<Zeroizing<Vec<u8>>, SecretsError>>;
}

/// One root key. No Debug; wiped when dropped.
#[derive(Clone)]
pub struct RootKey {
    bytes: Zeroizing<[u8; 32]>,
    wrapping: DataKey,
}

impl RootKey {
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
        let wrapping = DataKey::from_bytes(&derive(bytes, b"tidegate key wrapping"));
        Self { bytes: Zeroizing::new(*bytes), wrapping }
    }

    /// The key's bytes, to be wrapped.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Reads a local key from a file that only its owner may read.
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

    /// Reads a local key from a text, as found in the environment.
    ///
    /// # Errors
    /// [`SecretsError::MalformedKey`] unless it is 32 bytes in base64 that are not all alike.
    pub fn from_secret(text: &Secret) -> Result<Self, SecretsError> {
        Self::from_text(text.expose())
    }

    fn from_text(text: &str) -> Result<Self, SecretsError> {
        let decoded =
            STANDARD.decode(text.trim()).map(Zeroizing::new).map_err(|_| SecretsError::MalformedKey)?;
        let bytes: Zeroizing<[u8; 32]> =
            decoded.as_slice().try_into().map(Zeroizing::new).map_err(|_| SecretsError::MalformedKey)?;
        if bytes.windows(2).all(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(SecretsError::MalformedKey);
        }
        Ok(Self::from_bytes(&bytes))
    }
}

/// A local key as a wrapper.
impl KeyWrapper for RootKey {
    fn name(&self) -> String {
        let print: String = self.wrapping.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("local:{print}")
    }

    fn wrap<'a>(&'a self, place: &'a Aad, material: &'a [u8]) -> Later<'a, Result<Vec<u8>, SecretsError>> {
        Box::pin(std::future::ready(envelope::seal(&self.wrapping, place, material)))
    }

    fn unwrap<'a>(
        &'a self,
        place: &'a Aad,
        wrapped: &'a [u8],
    ) -> Later<'a, Result<Zeroizing<Vec<u8>>, SecretsError>> {
        Box::pin(std::future::ready(envelope::open(&self.wrapping, place, wrapped)))
    }
}

/// The root keys that are held: the first one wraps, all of them unwrap. Clones share what is held. No Debug.
#[derive(Clone)]
pub struct KeyEncryptionKey {
    roots: Arc<RwLock<Arc<[RootKey]>>>,
}

impl KeyEncryptionKey {
    /// A local key, used directly.
    ///
    /// # Errors
    /// As [`RootKey::from_file`].
    pub fn from_file(path: &Path) -> Result<Self, SecretsError> {
        RootKey::from_file(path).map(|root| Self::new(vec![root]))
    }

    /// A local key, used directly.
    ///
    /// # Errors
    /// As [`RootKey::from_secret`].
    pub fn from_secret(text: &Secret) -> Result<Self, SecretsError> {
        RootKey::from_secret(text).map(|root| Self::new(vec![root]))
    }

    /// Holds these; the first one wraps.
    #[must_use]
    pub fn new(roots: Vec<RootKey>) -> Self {
        Self { roots: Arc::new(RwLock::new(roots.into())) }
    }

    /// Holds these from now on, in every clone.
    pub fn replace(&self, roots: Vec<RootKey>) {
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = roots.into();
    }

    fn held(&self) -> Arc<[RootKey]> {
        Arc::clone(&self.roots.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn first(&self) -> Result<RootKey, SecretsError> {
        self.held().first().cloned().ok_or(SecretsError::MalformedKey)
    }

    /// Encrypts key material for the place that `aad` names (purpose, owner, version).
    ///
    /// # Errors
    /// As [`envelope::seal`].
    pub fn wrap(&self, aad: &Aad, material: &[u8]) -> Result<Vec<u8>, SecretsError> {
        envelope::seal(&self.first()?.wrapping, aad, material)
    }

    /// Opens what [`KeyEncryptionKey::wrap`] wrote for the same place.
    ///
    /// # Errors
    /// [`SecretsError::NotDecrypted`].
    pub fn unwrap(&self, aad: &Aad, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let held = self.held();
        let mut opened = held.iter().map(|root| envelope::open(&root.wrapping, aad, wrapped));
        opened.find(Result::is_ok).unwrap_or(Err(SecretsError::NotDecrypted))
    }

    /// The same material wrapped by the first root key; `None` when it is already.
    ///
    /// # Errors
    /// As [`KeyEncryptionKey::unwrap`].
    pub fn rewrap(&self, aad: &Aad, wrapped: &[u8]) -> Result<Option<Vec<u8>>, SecretsError> {
        if envelope::open(&self.first()?.wrapping, aad, wrapped).is_ok() {
            return Ok(None);
        }
        let opened = self.unwrap(aad, wrapped)?;
        self.wrap(aad, &opened).map(Some)
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

    /// A key of its own for one purpose, of the first root key.
    ///
    /// # Errors
    /// [`SecretsError::MalformedKey`] when nothing is held.
    pub fn derived(&self, purpose: &[u8]) -> Result<Zeroizing<[u8; 32]>, SecretsError> {
        Ok(derive(self.first()?.bytes.as_ref(), purpose))
    }
}
