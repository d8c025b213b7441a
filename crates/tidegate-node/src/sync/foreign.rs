//! Resources of kinds that only a later release knows. They cannot be applied; they are named, so that nobody takes
//! this node for complete, and counted in the digests, so that nobody sends them again and again.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use tidegate_proto::config::{Ack, Delta, Rejection, ResourceKey};
use tidegate_proto::key_of_unknown_kind;
use tidegate_types::{Digest, Revision, Shard};

/// By their keys as digests have them.
type Members = BTreeMap<String, Member>;

struct Member {
    key: ResourceKey,
    n: u64,
    content_hash: [u8; 32],
}

#[derive(Default)]
struct OfShard {
    held: Members,
    /// Of a replacement whose last part has not come.
    draft: Option<Members>,
}

/// Those of all shards.
#[derive(Default)]
pub(crate) struct Foreign {
    shards: Mutex<HashMap<Shard, OfShard>>,
}

impl Foreign {
    /// Notes those of one part of a delta.
    pub(crate) fn note(&self, shard: Shard, part: &Delta, first: bool) {
        let mut shards = self.shards.lock();
        let of = shards.entry(shard).or_default();
        if first {
            of.draft = part.replace.then(Members::new);
        }
        let members = of.draft.as_mut().unwrap_or(&mut of.held);
        for resource in &part.resources {
            let (Some(name), Some(key)) = (key_of_unknown_kind(resource), &resource.key) else { continue };
            if resource.resource.is_none() && resource.content_hash.is_empty() {
                members.remove(&name);
                continue;
            }
            let content_hash = resource.content_hash.as_slice().try_into().unwrap_or_default();
            members.insert(name, Member { key: key.clone(), n: resource.n, content_hash });
        }
        if part.last
            && let Some(draft) = of.draft.take()
        {
            of.held = draft;
        }
    }

    /// Adds those of a shard to its acknowledgement.
    pub(crate) fn tell(&self, shard: Shard, digest: &mut Digest, ack: &mut Ack) {
        let shards = self.shards.lock();
        for (name, member) in shards.get(&shard).into_iter().flat_map(|of| &of.held) {
            let revision = Revision { shard, n: member.n };
            digest.add(Digest::of_member(name, revision, &member.content_hash, false));
            let reason = format!("this release knows no resource of the kind {:?}", member.key.kind);
            ack.rejected.push(Rejection { key: Some(member.key.clone()), n: member.n, reason });
        }
    }
}
