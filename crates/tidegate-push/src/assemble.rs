//! From stored versions to wire messages, in parts that fit a message.
//!
//! A node gets what is placed in its pool: facts of that pool, resources of the organizations that it
//! serves, secrets sealed for it. What was placed there once is told to be gone. A stored resource that this release cannot
//! read is left out and counted, it never ends a stream; one that takes something away comes as what no node can apply, so that it fails closed.

use prost::Message as _;
use tidegate_proto::config as wire;
use tidegate_store::feed::Item;
use tidegate_store::placement::Told;
use tidegate_types::resource::{Credential, Resource, Versioned};
use tidegate_types::{NodeId, Shard};

/// Bytes of resources in one message: well under what either side accepts, and little enough that
/// a thousand nodes may each have some waiting.
const PART_BYTES: usize = 256 * 1024;

/// The version as a node of this pool gets it; `None` when it is not for this pool or not readable.
/// A node that begins afresh holds nothing that it would have to drop.
fn version(item: &Item, node: NodeId, pool: &str, afresh: bool) -> Option<wire::VersionedResource> {
    if item.members.as_ref().is_some_and(|members| !members.contains(&node)) {
        return None;
    }
    if !is_for_pool(item.versioned.key.kind.as_str(), &item.versioned.key.id, pool) {
        return None;
    }
    match item.placement.told(item.versioned.key.organization_id, pool) {
        Told::Nothing => None,
        Told::Gone if afresh => None,
        Told::Gone => {
            let gone = Versioned { resource: None, tightens: true, ..item.versioned.clone() };
            Some(wire::VersionedResource::from(&gone))
        }
        Told::Present if item.is_unreadable() => unapplicable(item),
        Told::Present => match &item.versioned.resource {
            Some(Resource::Credential(credential)) => {
                let own = Some(Resource::Credential(sealed_for(credential, pool)));
                Some(wire::VersionedResource::from(&Versioned { resource: own, ..item.versioned.clone() }))
            }
            _ => Some(wire::VersionedResource::from(&item.versioned)),
        },
    }
}

/// What stands for a resource that only a later release understands, where nobody may go on as if there were none.
fn unapplicable(item: &Item) -> Option<wire::VersionedResource> {
    if item.unknown.is_empty() && !item.versioned.tightens {
        return None;
    }
    let shell = wire::Resource { requires: item.unknown.clone(), resource: None };
    Some(wire::VersionedResource {
        key: Some((&item.versioned.key).into()),
        n: item.versioned.revision.n,
        tightens: true,
        resource: Some(shell),
        content_hash: item.content_hash.map(Vec::from).unwrap_or_default(),
    })
}

/// The credential without what is sealed for other pools. The content hash does not cover the bytes.
fn sealed_for(credential: &Credential, pool: &str) -> Credential {
    let mut own = credential.clone();
    own.sealed.iter_mut().filter(|sealed| sealed.pool != pool).for_each(|sealed| sealed.bytes.clear());
    own
}

/// Whether a resource of this kind and id is for the nodes of this pool.
pub(crate) fn is_for_pool(kind: &str, id: &str, pool: &str) -> bool {
    !matches!(kind, "budget_epoch" | "pool") || id == pool
}

/// Where a shard's stream of parts stands.
pub(crate) struct Parts<'a> {
    pub(crate) shard: Shard,
    pub(crate) from: u64,
    pub(crate) replace: bool,
    pub(crate) node: NodeId,
    pub(crate) pool: &'a str,
}

impl Parts<'_> {
    /// Cuts items into messages, none of them the last.
    pub(crate) fn cut(&self, items: &[Item]) -> Vec<wire::Delta> {
        let mut parts = Vec::new();
        let (mut resources, mut bytes) = (Vec::new(), 0);
        for version in items.iter().filter_map(|item| version(item, self.node, self.pool, self.replace)) {
            let size = version.encoded_len();
            if bytes + size > PART_BYTES && !resources.is_empty() {
                parts.push(self.delta(std::mem::take(&mut resources), self.from, false));
                bytes = 0;
            }
            bytes += size;
            resources.push(version);
        }
        if !resources.is_empty() {
            parts.push(self.delta(resources, self.from, false));
        }
        parts
    }

    /// The last message of the delta, which brings the shard to `to`.
    pub(crate) fn last(&self, mut parts: Vec<wire::Delta>, to: u64) -> Vec<wire::Delta> {
        let resources = parts.pop().map(|part| part.resources).unwrap_or_default();
        parts.push(self.delta(resources, to, true));
        parts
    }

    fn delta(&self, resources: Vec<wire::VersionedResource>, to: u64, last: bool) -> wire::Delta {
        wire::Delta {
            shard: self.shard.index() as u32,
            from: self.from,
            to,
            replace: self.replace,
            last,
            resources,
            synchronised: false,
        }
    }
}
