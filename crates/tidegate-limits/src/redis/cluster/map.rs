//! Which server has which slot. Immutable: a new one takes its place.

use std::sync::Arc;

use super::SLOTS;
use super::view::View;
use crate::redis::finder::Address;
use crate::redis::shard::Shard;

/// A server, and where it is.
#[derive(Clone)]
pub(super) struct Part {
    /// `None`: nowhere. It keeps what waits for a server.
    pub(super) at: Option<Address>,
    pub(super) shard: Arc<Shard>,
}

/// All slots and their servers.
pub(super) struct Map {
    /// Which of the parts has the slot; as many as there are slots.
    owners: Vec<u16>,
    /// Each has at least one slot, but for the first, which is nowhere.
    parts: Vec<Part>,
    /// Slots that are nowhere.
    unserved: usize,
}

impl Map {
    /// Nobody has any slot.
    pub(super) fn empty(nowhere: Arc<Shard>) -> Self {
        Self { owners: vec![0; SLOTS], parts: vec![Part { at: None, shard: nowhere }], unserved: SLOTS }
    }

    pub(super) fn of(&self, slot: usize) -> &Arc<Shard> {
        let part = self.owners.get(slot).and_then(|owner| self.parts.get(usize::from(*owner)));
        // There is always a first one.
        &part.unwrap_or(&self.parts[0]).shard
    }

    /// Every server, the one that is nowhere first.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The servers that have slots.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Shard> {
        self.parts.iter().filter(|part| part.at.is_some()).map(|part| &*part.shard)
    }

    /// Slots that are nowhere.
    pub(super) const fn unserved(&self) -> usize {
        self.unserved
    }

    fn address(&self, slot: usize) -> Option<&Address> {
        let owner = self.owners.get(slot)?;
        self.parts.get(usize::from(*owner))?.at.as_ref()
    }

    /// The map that a view tells of; `None`: this one. Slots of which it tells nothing stay where they were.
    pub(super) fn by(&self, view: &View, begin: impl Fn(&Address) -> Arc<Shard>) -> Option<Self> {
        let mut told: Vec<Option<&Address>> = (0..SLOTS).map(|slot| self.address(slot)).collect();
        for range in &view.ranges {
            if let Some(some) = told.get_mut(range.first..=range.last) {
                some.fill(Some(&range.primary));
            }
        }
        if told.iter().enumerate().all(|(slot, told)| *told == self.address(slot)) {
            return None;
        }
        let mut parts: Vec<Part> = self.parts.first().cloned().into_iter().collect();
        let mut owners = Vec::with_capacity(SLOTS);
        for at in told {
            let known = parts.iter().position(|part| part.at.as_ref() == at);
            let owner = known.unwrap_or_else(|| {
                let here = self.parts.iter().find(|part| part.at.as_ref() == at).cloned();
                let begun = || at.map(|at| Part { at: Some(at.clone()), shard: begin(at) });
                parts.extend(here.or_else(begun));
                parts.len() - 1
            });
            owners.push(u16::try_from(owner).unwrap_or(0));
        }
        let unserved = owners.iter().filter(|owner| **owner == 0).count();
        Some(Self { owners, parts, unserved })
    }
}
