//! Folds deltas of one shard into the newest version of each resource.

use std::collections::BTreeMap;

use tidegate_proto::config::{Delta, ResourceKey, VersionedResource};
use tidegate_types::Shard;

type Key = (String, String, String);

/// What has been folded so far. Parts count once their last one is there.
#[derive(Default)]
pub(crate) struct Fold {
    held: BTreeMap<Key, VersionedResource>,
    to: u64,
    parts: Vec<Delta>,
    /// Something is missing: what follows cannot be taken.
    broken: bool,
}

impl Fold {
    /// Adds the next part.
    pub(crate) fn add(&mut self, delta: Delta) {
        let (last, to) = (delta.last, delta.to);
        self.broken |= !delta.replace && delta.from != self.to;
        self.parts.push(delta);
        if !last || self.broken {
            return;
        }
        let parts = std::mem::take(&mut self.parts);
        if parts.iter().any(|part| part.replace) {
            self.held.clear();
        }
        for resource in parts.into_iter().flat_map(|part| part.resources) {
            let Some(key) = resource.key.as_ref().map(key) else { continue };
            if self.held.get(&key).is_none_or(|held| held.n <= resource.n) {
                self.held.insert(key, resource);
            }
        }
        self.to = to;
    }

    /// One delta from 0 that replaces the shard; `None` when nothing was complete.
    pub(crate) fn finish(self, shard: Shard) -> Option<Delta> {
        (self.to > 0).then(|| Delta {
            shard: shard.index() as u32,
            from: 0,
            to: self.to,
            replace: true,
            last: true,
            // Loaded into an empty configuration: what was deleted need not be said.
            resources: self.held.into_values().filter(|held| held.resource.is_some()).collect(),
            synchronised: false,
        })
    }
}

fn key(key: &ResourceKey) -> Key {
    (key.organization_id.clone(), key.kind.clone(), key.id.clone())
}
