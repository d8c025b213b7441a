//! Sealing: bytes that only the holder of one X25519 key can open (X25519, HKDF-SHA256, AES-256-GCM).
//!
//! Written as the sender's ephemeral public key (32 bytes) and an envelope. Every message has a key
//! of its own, derived from both public keys and the context.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use tidegate_telemetry::entropy;
use zeroize::Zeroizing;

use crate::SecretsError;
use crate::envelope::{self, Aad, DataKey};
use hkdf::Hkdf;
use sha2::Sha256;

/// A key pair that others seal to. No Debug; the private half is wiped when dropped.
pub struct SealingKeyPair {
    private: PrivateKey,
    seed: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl SealingKeyPair {
    /// A new random key pair.
    ///
    /// # Errors
    /// [`SecretsError::MalformedMaterial`]; does not happen with sound randomness.
    pub fn generate() -> Result<Self, SecretsError> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy::fill(seed.as_mut());
        Self::from_bytes(&seed)
    }

    /// The key pair of this private key, as [`SealingKeyPair::expose`] gave it.
    ///
    /// # Errors
    /// [`SecretsError::MalformedMaterial`].
    pub fn from_bytes(seed: &[u8; 32]) -> Result<Self, SecretsError> {
        let private =
            PrivateKey::from_private_key(&X25519, seed).map_err(|_| SecretsError::MalformedMaterial)?;
        let computed = private.compute_public_key().map_err(|_| SecretsError::MalformedMaterial)?;
        let public = computed.as_ref().try_into().map_err(|_| SecretsError::MalformedMaterial)?;
        Ok(Self { private, seed: Zeroizing::new(*seed), public })
    }

    /// The private key, to be kept encrypted on disk.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Opens what was sealed to this key in this context.
    ///
    /// # Errors
    /// [`SecretsError::NotDecrypted`].
    pub fn open(&self, context: &Aad, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let (ephemeral, body) = sealed.split_first_chunk::<32>().ok_or(SecretsError::NotDecrypted)?;
        let key = agree(&self.private, ephemeral, ephemeral, &self.public)?;
        envelope::open(&key, context, body)
    }
}

/// Seals `plain` to a public key, for one context.
///
/// # Errors
/// [`SecretsError::NotDecrypted`] when the public key is not one (for example of low order).
pub fn seal_to(public: &[u8; 32], context: &Aad, plain: &[u8]) -> Result<Vec<u8>, SecretsError> {
    let ephemeral = SealingKeyPair::generate()?;
    let key = agree(&ephemeral.private, public, &ephemeral.public, public)?;
    let body = envelope::seal(&key, context, plain)?;
    let mut out = Vec::with_capacity(32 + body.len());
    out.extend_from_slice(&ephemeral.public);
    out.extend_from_slice(&body);
    Ok(out)
}

fn agree(
    private: &PrivateKey,
    peer: &[u8; 32],
    ephemeral: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<DataKey, SecretsError> {
    let peer = UnparsedPublicKey::new(&X25519, peer);
    agreement::agree(private, peer, SecretsError::NotDecrypted, |shared| {
        let mut key = Zeroizing::new([0; 32]);
        let hkdf = Hkdf::<Sha256>::new(Some(b"tidegate sealing"), shared);
        hkdf.expand_multi_info(&[ephemeral, recipient], key.as_mut())
            .map_err(|_| SecretsError::MalformedMaterial)?;
        Ok(DataKey::from_bytes(&key))
    })
}
