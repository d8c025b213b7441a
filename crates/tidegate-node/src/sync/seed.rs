//! Fills an empty state folder with a configuration that came by no stream, as if it had come by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proto::config::{Delta, PoolKey};
use tidegate_types::{NodeId, Shard, Timestamp};

use super::cache::Cache;
use super::{contact, floor, keeper, trial};
use crate::error::NodeError;
use crate::state::State;

/// A state folder that is being filled. It holds nothing before [`Seed::finish`].
pub(crate) struct Seed {
    cache: Cache,
    state: Arc<State>,
    /// How far each shard is, and whether a delta of several parts is under way.
    shards: BTreeMap<Shard, Place>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    n: u64,
    open: Option<bool>,
}

impl Seed {
    /// Forgets what an attempt before this one left.
    pub(crate) fn begin(state: Arc<State>, node: NodeId) -> Result<Self, NodeError> {
        state.remove(floor::FILE)?;
        state.remove(trial::FILE)?;
        let cache = Cache::open(Arc::clone(&state), node)?;
        Ok(Self { cache, state, shards: BTreeMap::new() })
    }

    /// Takes one part of a delta: of the one that replaces a shard, then of those that go on from there. False: it is no
    /// such part.
    pub(crate) fn take(&mut self, delta: &Delta) -> Result<bool, NodeError> {
        let Some(shard) = u8::try_from(delta.shard).ok().and_then(Shard::new) else { return Ok(false) };
        let place = self.shards.entry(shard).or_default();
        let first = place.open.is_none();
        let follows = match place.open {
            Some(replace) => replace == delta.replace,
            None if delta.replace => place.n == 0,
            None => place.n > 0 && delta.from == place.n && delta.to >= place.n,
        };
        if !follows {
            return Ok(false);
        }
        *place = match delta.last {
            true => Place { n: delta.to, open: None },
            false => Place { open: Some(delta.replace), ..*place },
        };
        let kept = self.cache.append(shard, delta, first);
        kept.map_err(NodeError::io("keep a part of the copy"))?;
        Ok(true)
    }

    /// Everything has come that the control plane had at this time. False: something was cut off.
    pub(crate) fn finish(mut self, keys: Vec<PoolKey>, at: Timestamp) -> Result<bool, NodeError> {
        if self.shards.values().any(|place| place.open.is_some()) || keys.is_empty() {
            return Ok(false);
        }
        for key in keys {
            keeper::keep_pool_key(&self.state, key)?;
        }
        contact::write(&self.state, at)?;
        self.cache.complete();
        self.cache.sync()?;
        Ok(true)
    }
}
