//! Revisions of the configuration and digests of what a node holds.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::OrganizationId;

/// One of 65 independent sequences of changes: 64 for tenants, one for the system's own resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard(u8);

impl Shard {
    /// Number of shards, the system's included.
    pub const COUNT: usize = 65;
    /// The shard of system-scope resources.
    pub const SYSTEM: Self = Self(64);

    /// The shard with this index, below [`Shard::COUNT`].
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if (index as usize) < Self::COUNT { Some(Self(index)) } else { None }
    }

    /// Where an organization's changes are counted: the first byte of SHA-256 of its id, modulo 64.
    #[must_use]
    pub fn of(organization: OrganizationId) -> Self {
        if organization == OrganizationId::SYSTEM {
            return Self::SYSTEM;
        }
        Self(Sha256::digest(organization.to_u128().to_be_bytes())[0] % 64)
    }

    /// The shard's index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Every shard.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }
}

/// The n-th change of a shard. `n` counts from 1; 0 means nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision {
    /// Which sequence.
    pub shard: Shard,
    /// Place in the sequence.
    pub n: u64,
}

/// What a node (or a reader) has seen of every shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(Vec<u64>);

impl Default for Position {
    fn default() -> Self {
        Self(vec![0; Shard::COUNT])
    }
}

impl Position {
    /// The last change seen of this shard.
    #[must_use]
    pub fn get(&self, shard: Shard) -> u64 {
        self.0.get(shard.index()).copied().unwrap_or(0)
    }

    /// Notes a change as seen; never goes back.
    pub fn advance(&mut self, revision: Revision) {
        if self.0.len() < Shard::COUNT {
            self.0.resize(Shard::COUNT, 0);
        }
        let seen = &mut self.0[revision.shard.index()];
        *seen = (*seen).max(revision.n);
    }

    /// Whether this change has been seen.
    #[must_use]
    pub fn includes(&self, revision: Revision) -> bool {
        self.get(revision.shard) >= revision.n
    }

    /// Every shard with what was seen of it.
    pub fn iter(&self) -> impl Iterator<Item = Revision> + '_ {
        Shard::all().map(|shard| Revision { shard, n: self.get(shard) })
    }
}

/// Additive hash of a set of resources: order does not matter, members can be removed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Digest(u128);

impl Digest {
    /// From its bits, as carried on the wire.
    #[must_use]
    pub const fn from_u128(raw: u128) -> Self {
        Self(raw)
    }

    /// Its bits.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// Adds a member.
    pub fn add(&mut self, member: Self) {
        self.0 = self.0.wrapping_add(member.0);
    }

    /// Takes a member out again.
    pub fn remove(&mut self, member: Self) {
        self.0 = self.0.wrapping_sub(member.0);
    }

    /// Hash of one resource in one state. `content` is the SHA-256 of its canonical content
    /// without sealed bytes; `applied` is false for a resource that the node rejected.
    #[must_use]
    pub fn of_member(key: &str, revision: Revision, content: &[u8; 32], applied: bool) -> Self {
        let mut hash = Sha256::new();
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key.as_bytes());
        hash.update([revision.shard.0]);
        hash.update(revision.n.to_be_bytes());
        hash.update(content);
        hash.update([u8::from(applied)]);
        let bytes: [u8; 32] = hash.finalize().into();
        let mut half = [0u8; 16];
        half.copy_from_slice(&bytes[..16]);
        Self(u128::from_be_bytes(half))
    }
}
