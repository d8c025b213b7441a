//! What comes from the feed, and what is said back.

use tidegate_types::resource::{Resource, ResourceKey, Versioned, content_hash};
use tidegate_types::{Digest, KeyId, OrganizationId};

/// One change of one resource.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Which resource.
    pub key: ResourceKey,
    /// The change, in the shard's sequence.
    pub n: u64,
    /// When it cannot be applied, the resource fails closed.
    pub tightens: bool,
    /// SHA-256 of the canonical content, as the control plane computed it; zeros for deletions.
    pub content_hash: [u8; 32],
    /// The version.
    pub body: Body,
}

/// A version of a resource.
#[derive(Debug, Clone)]
pub enum Body {
    /// As it is now.
    Present(Box<Resource>),
    /// It is gone.
    Deleted,
    /// It could not be read from the wire; the reason holds no content.
    Unreadable(String),
}

impl Incoming {
    /// A change that was read, with the content hash that came with it.
    #[must_use]
    pub fn new(version: Versioned, content_hash: [u8; 32]) -> Self {
        let body = version.resource.map_or(Body::Deleted, |resource| Body::Present(Box::new(resource)));
        Self { key: version.key, n: version.revision.n, tightens: version.tightens, content_hash, body }
    }
}

/// A change whose content hash is computed here.
impl From<Versioned> for Incoming {
    fn from(version: Versioned) -> Self {
        let hash = version.resource.as_ref().map(content_hash).unwrap_or_default();
        Self::new(version, hash)
    }
}

/// What a batch of changes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Changes after everything that is held of the shard, in their order; older ones are skipped.
    Delta,
    /// A part of everything there is, in any order; what no part has named is dropped at the end.
    /// What a node loads from its disk is a snapshot too.
    Snapshot {
        /// The first part.
        first: bool,
        /// The last part.
        last: bool,
    },
}

impl Part {
    /// Everything there is, in one batch.
    pub const WHOLE: Self = Self::Snapshot { first: true, last: true };
}

/// A resource that is rejected at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Which resource.
    pub key: ResourceKey,
    /// The change that was rejected.
    pub n: u64,
    /// What is wrong, without secrets and content.
    pub reason: String,
}

/// Access that a change took from a virtual key: it is revoked, or its secret was rotated without a time of grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Whose key it is.
    pub organization: OrganizationId,
    /// Which key.
    pub key: KeyId,
    /// The change, in the sequence of the organization's shard.
    pub n: u64,
}

/// How a shard stands after a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Additive digest of the shard.
    pub digest: Digest,
    /// Every resource of the shard that is rejected at this moment.
    pub rejected: Vec<Rejected>,
    /// Keys that were held and from which this batch took access.
    pub revoked: Vec<Revocation>,
}
