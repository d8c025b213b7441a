//! Signatures of seals, and the certificates by which they are verified.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use tidegate_types::{NodeId, Timestamp};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::seal::climb;
use super::{Hash, Link, Path, signed_text};
use crate::SecretsError;
use crate::ca;

/// A node's signature over a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Counts the seals of its boot, from 1.
    pub number: u64,
    /// When it was made (node's clock).
    pub at: Timestamp,
    /// ECDSA P-256 with SHA-256, ASN.1.
    pub signature: Vec<u8>,
}

impl Seal {
    /// Whether this seals a link that `path` leads to its root, by the key of `certificate`, which the
    /// certificates' roots have signed for the link's node.
    ///
    /// # Errors
    /// [`SecretsError::Certificate`] that says what does not hold.
    pub fn verify(
        &self,
        link: &Link,
        path: &Path,
        certificate: &[u8],
        roots: &Certificates,
    ) -> Result<(), SecretsError> {
        self.verify_root(link.node_id, link.boot, &climb(link.hash(), path), certificate, roots)
    }

    /// The same for the root of a whole batch.
    ///
    /// # Errors
    /// As [`Seal::verify`].
    pub fn verify_root(
        &self,
        node_id: NodeId,
        boot: u64,
        root: &Hash,
        certificate: &[u8],
        roots: &Certificates,
    ) -> Result<(), SecretsError> {
        let key = roots.node_key(certificate, node_id, self.at)?;
        let text = signed_text(node_id, boot, self.number, self.at, root);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
            .verify(&text, &self.signature)
            .map_err(|_| SecretsError::Certificate("the signature is not over these decisions"))
    }
}

/// The roots of an installation (DER) that certificates are verified by.
#[derive(Debug, Clone, Default)]
pub struct Certificates(Vec<Vec<u8>>);

impl Certificates {
    /// Trusts these roots.
    pub fn new(roots: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        Self(roots.into_iter().map(|root| root.as_ref().to_vec()).collect())
    }

    /// Whether a root is among them.
    #[must_use]
    pub fn trusts(&self, root: &[u8]) -> bool {
        self.0.iter().any(|known| known == root)
    }

    /// The public key of a node's certificate that one of the roots signed and that was valid at `at`.
    fn node_key(&self, leaf: &[u8], node_id: NodeId, at: Timestamp) -> Result<Vec<u8>, SecretsError> {
        let named = ca::node_identity(leaf)?;
        if named.node_id != node_id {
            return Err(SecretsError::Certificate("the certificate names another node"));
        }
        let malformed = SecretsError::Certificate("not a certificate");
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| malformed)?;
        let valid = certificate.validity();
        let seconds = at.as_seconds();
        if seconds < valid.not_before.timestamp() || seconds > valid.not_after.timestamp() {
            return Err(SecretsError::Certificate("the certificate was not valid at that time"));
        }
        let signed = self.0.iter().any(|root| {
            let Ok((_, root)) = X509Certificate::from_der(root) else { return false };
            let key = &root.public_key().subject_public_key.data;
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
                .verify(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data)
                .is_ok()
        });
        if !signed {
            return Err(SecretsError::Certificate("no trusted root has signed the certificate"));
        }
        Ok(certificate.public_key().subject_public_key.data.to_vec())
    }

    /// Whether one of the roots' own keys signed a text.
    ///
    /// # Errors
    /// [`SecretsError::Certificate`].
    pub fn verify_by_root(&self, text: &[u8], signature: &[u8]) -> Result<(), SecretsError> {
        let signed = self.0.iter().any(|root| {
            X509Certificate::from_der(root).is_ok_and(|(_, root)| {
                let key = &root.public_key().subject_public_key.data;
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(text, signature).is_ok()
            })
        });
        if signed { Ok(()) } else { Err(SecretsError::Certificate("no trusted root has signed it")) }
    }
}
