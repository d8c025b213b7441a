//! What the nodes of a pool share: the key of sealed credentials and the peppers of virtual keys.
//!
//! It reaches a node sealed to the key of its enrolment, and lives in memory only.

use tidegate_types::resource::SealedSecret;
use tidegate_types::{CredentialId, NodeId, OrganizationId, Secret};
use zeroize::Zeroizing;

use crate::SecretsError;
use crate::envelope::{self, Aad, DataKey};
use crate::sealing::{self, SealingKeyPair};
use crate::virtual_key::{PepperBytes, Peppers};

/// The secrets of a pool. No Debug; wiped when dropped.
#[derive(Clone)]
pub struct PoolSecrets {
    /// The pool's name.
    pub pool: String,
    /// Version of the pool's key.
    pub version: u32,
    /// The key under which credentials are sealed.
    pub key: DataKey,
    /// The peppers of virtual keys.
    pub peppers: Peppers,
}

const FORMAT: u8 = 1;

impl PoolSecrets {
    /// Seals the secrets to a node, for `PoolKey.sealed`.
    ///
    /// # Errors
    /// When the node's sealing key is not a key.
    pub fn seal_to_node(&self, node: NodeId, sealing_key: &[u8; 32]) -> Result<Vec<u8>, SecretsError> {
        sealing::seal_to(sealing_key, &node_context(&self.pool, self.version, node), &self.to_bytes())
    }

    /// Opens `PoolKey.sealed` on the node that it was sealed to.
    ///
    /// # Errors
    /// When it was sealed to another node, pool or version, or was changed.
    pub fn open_on_node(
        pool: &str,
        version: u32,
        node: NodeId,
        pair: &SealingKeyPair,
        sealed: &[u8],
    ) -> Result<Self, SecretsError> {
        let opened = pair.open(&node_context(pool, version, node), sealed)?;
        Self::from_bytes(pool, version, &opened)
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(128));
        out.push(FORMAT);
        out.extend_from_slice(self.key.expose());
        for pepper in self.peppers.export() {
            out.extend_from_slice(&pepper.version.to_be_bytes());
            out.extend_from_slice(&pepper.bytes);
        }
        out
    }

    pub(crate) fn from_bytes(pool: &str, version: u32, bytes: &[u8]) -> Result<Self, SecretsError> {
        let rest = bytes.strip_prefix(&[FORMAT]).ok_or(SecretsError::MalformedMaterial)?;
        let (key, mut rest) = rest.split_first_chunk::<32>().ok_or(SecretsError::MalformedMaterial)?;
        let mut peppers = Vec::with_capacity(2);
        while let Some((version, after)) = rest.split_first_chunk::<4>() {
            let (bytes, after) = after.split_first_chunk::<32>().ok_or(SecretsError::MalformedMaterial)?;
            peppers.push(PepperBytes { version: u32::from_be_bytes(*version), bytes: *bytes });
            rest = after;
        }
        if !rest.is_empty() {
            return Err(SecretsError::MalformedMaterial);
        }
        let peppers = Peppers::new(&peppers)?;
        Ok(Self { pool: pool.to_owned(), version, key: DataKey::from_bytes(key), peppers })
    }

    /// Seals a credential's secret (the JSON of its form) for the pool's nodes.
    ///
    /// # Errors
    /// As [`envelope::seal`].
    pub fn seal_credential(
        &self,
        organization: OrganizationId,
        credential: CredentialId,
        secret_version: u32,
        plain: &Secret,
    ) -> Result<SealedSecret, SecretsError> {
        let aad = credential_aad(organization, credential, secret_version, &self.pool, self.version);
        let bytes = envelope::seal(&self.key, &aad, plain.expose().as_bytes())?;
        Ok(SealedSecret { pool: self.pool.clone(), pool_key_version: self.version, secret_version, bytes })
    }

    /// Opens a credential's secret.
    ///
    /// # Errors
    /// [`SecretsError::NotDecrypted`] when it was sealed for another organization, credential,
    /// version or pool, or was changed.
    pub fn open_credential(
        &self,
        organization: OrganizationId,
        credential: CredentialId,
        sealed: &SealedSecret,
    ) -> Result<Secret, SecretsError> {
        let aad = credential_aad(
            organization,
            credential,
            sealed.secret_version,
            &sealed.pool,
            sealed.pool_key_version,
        );
        let opened = envelope::open(&self.key, &aad, &sealed.bytes)?;
        let text = std::str::from_utf8(&opened).map_err(|_| SecretsError::MalformedMaterial)?;
        Ok(Secret::new(text))
    }
}

fn credential_aad(
    organization: OrganizationId,
    credential: CredentialId,
    secret_version: u32,
    pool: &str,
    pool_key_version: u32,
) -> Aad {
    Aad::new("credential")
        .with(organization.to_u128().to_be_bytes())
        .with(credential.to_u128().to_be_bytes())
        .with(secret_version.to_be_bytes())
        .with(pool)
        .with(pool_key_version.to_be_bytes())
}

fn node_context(pool: &str, version: u32, node: NodeId) -> Aad {
    Aad::new("pool key").with(pool).with(version.to_be_bytes()).with(node.to_u128().to_be_bytes())
}
