//! Decisions as evidence: hashed, chained for each organization, signed in batches by the node that made them.
//!
//! What is hashed: a *leaf* is SHA-256 of 0 and the decision's JSON. A *link* stands for the decisions of one
//! organization in one batch: it counts, names the link before it and the calls in their order, and hashes
//! their leaves one into the other. A *seal* signs the Merkle root of a batch's links with the key of the
//! node's certificate, so that a signature is made once for hundreds of calls.

pub mod file;
mod json;
mod seal;
mod verify;

use sha2::{Digest as _, Sha256};
use tidegate_types::usage::Decision;
use tidegate_types::{CallId, NodeId, OrganizationId, Timestamp};

use crate::SecretsError;

pub use seal::{Path, Side, path, root};
pub use verify::{Certificates, Seal};

/// A SHA-256.
pub type Hash = [u8; 32];

const LEAF: u8 = 0;
const LINK: u8 = 1;
const NODE: u8 = 2;

/// The decisions of one organization in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Who signs.
    pub node_id: NodeId,
    /// The process of the node that signs: its chains begin and end with it.
    pub boot: u64,
    /// Whose calls.
    pub organization_id: OrganizationId,
    /// Counts the organization's links of this boot, from 1.
    pub number: u64,
    /// Hash of the link before; zeros before the first.
    pub previous: Hash,
    /// The calls in the order of their records.
    pub calls: Vec<CallId>,
    /// Their decisions, see [`records`].
    pub records: Hash,
}

impl Link {
    /// What the next link names, and what is signed.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut hash = Sha256::new_with_prefix([LINK]);
        hash.update(self.node_id.to_u128().to_be_bytes());
        hash.update(self.boot.to_be_bytes());
        hash.update(self.organization_id.to_u128().to_be_bytes());
        hash.update(self.number.to_be_bytes());
        hash.update(self.previous);
        hash.update((self.calls.len() as u64).to_be_bytes());
        self.calls.iter().for_each(|call| hash.update(call.to_u128().to_be_bytes()));
        hash.update(self.records);
        hash.finalize().into()
    }
}

/// The hash of one decision.
///
/// # Errors
/// [`SecretsError::MalformedMaterial`] when it has no JSON form, which all have.
pub fn leaf(decision: &Decision) -> Result<Hash, SecretsError> {
    Leaves::default().of(decision)
}

/// Hashes decisions one after the other, in one buffer.
#[derive(Debug, Default)]
pub struct Leaves(Vec<u8>);

impl Leaves {
    /// The hash of one decision.
    ///
    /// # Errors
    /// As of [`leaf`].
    pub fn of(&mut self, decision: &Decision) -> Result<Hash, SecretsError> {
        self.0.clear();
        self.0.push(LEAF);
        json::write(&mut self.0, decision).map_err(|_| SecretsError::MalformedMaterial)?;
        Ok(Sha256::digest(&self.0).into())
    }
}

/// The hash of several leaves in their order.
#[must_use]
pub fn records(leaves: &[Hash]) -> Hash {
    leaves.iter().fold([0; 32], |before, leaf| pair(&before, leaf))
}

fn pair(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([NODE]).chain_update(left).chain_update(right).finalize().into()
}

/// The name of a certificate: SHA-256 of its DER form.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> Hash {
    Sha256::digest(certificate).into()
}

/// What a node signs for a batch.
#[must_use]
pub fn signed_text(node_id: NodeId, boot: u64, number: u64, at: Timestamp, root: &Hash) -> Vec<u8> {
    let mut text = b"tidegate decisions, version 1\n".to_vec();
    text.extend_from_slice(&node_id.to_u128().to_be_bytes());
    text.extend_from_slice(&boot.to_be_bytes());
    text.extend_from_slice(&number.to_be_bytes());
    text.extend_from_slice(&at.as_micros().to_be_bytes());
    text.extend_from_slice(root);
    text
}
