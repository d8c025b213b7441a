//! The writer's side: what is held of each resource, so that a change can be judged and undone.

mod organization;
mod raw;
mod table;

use std::collections::{BTreeMap, HashMap, HashSet};

use tidegate_types::resource::ResourceKey;
use tidegate_types::{Digest, OrganizationId};

use crate::revoked::Revoked;

pub(crate) use organization::{OrgState, Section, Swap};
pub(crate) use raw::{Raw, hashed, raw_id};
pub(crate) use table::Change;

/// A version that was rejected and not yet replaced.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) key: ResourceKey,
    pub(crate) n: u64,
    pub(crate) reason: String,
    /// What it adds to the shard's digest.
    pub(crate) member: Digest,
}

/// One shard, as its writer sees it.
#[derive(Debug, Default)]
pub(crate) struct ShardState {
    pub(crate) organizations: HashMap<OrganizationId, OrgState, ahash::RandomState>,
    pub(crate) rejected: BTreeMap<Raw, Rejection>,
    pub(crate) digest: Digest,
    /// The newest change seen.
    pub(crate) n: u64,
    /// What the parts of a snapshot have named so far; `None` outside a snapshot.
    pub(crate) named: Option<HashSet<Raw, ahash::RandomState>>,
    /// Organizations whose snapshots are not what is held: also after a batch that ended in a panic.
    pub(crate) stale: BTreeMap<OrganizationId, Section>,
    /// Keys that others say were revoked by changes that have not come.
    pub(crate) revoked: Revoked,
}
