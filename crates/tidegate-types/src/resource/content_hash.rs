//! The hash by which two sides compare a resource without showing it.

use sha2::{Digest as _, Sha256};

use super::{Credential, Resource, SealedSecret};

/// SHA-256 of a resource's canonical content: its JSON form with the fields in their declared
/// order, without the sealed bytes of a credential (they differ each time they are sealed).
#[must_use]
pub fn content_hash(resource: &Resource) -> [u8; 32] {
    match resource {
        Resource::Credential(credential) => {
            hash_json(&Resource::Credential(without_sealed_bytes(credential)))
        }
        other => hash_json(other),
    }
}

fn without_sealed_bytes(credential: &Credential) -> Credential {
    let sealed = credential
        .sealed
        .iter()
        .map(|secret| SealedSecret { bytes: Vec::new(), pool: secret.pool.clone(), ..*secret })
        .collect();
    Credential { sealed, ..credential.clone() }
}

fn hash_json(resource: &Resource) -> [u8; 32] {
    // Resources have no maps with keys other than text, the only thing that JSON cannot carry.
    let json = serde_json::to_vec(resource).unwrap_or_default();
    Sha256::digest(&json).into()
}
