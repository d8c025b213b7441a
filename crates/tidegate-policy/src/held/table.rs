//! The resources of one kind in one organization, with their last good versions.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_types::Digest;

use crate::compiled::Piece;
use crate::reason::Reason;

/// Most bytes of one resource's variable parts.
const MOST_BYTES: usize = 1 << 20;

/// What the table needs to know of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) n: u64,
    pub(crate) tightens: bool,
    /// What the version adds to the digest once it is applied.
    pub(crate) member: Digest,
}

/// One resource.
#[derive(Debug)]
pub(crate) struct Held<T> {
    /// The change that made the last good version; 0 while there is none.
    n: u64,
    member: Digest,
    weight: usize,
    good: Option<Arc<T>>,
    /// Set from a tightening that could not be applied until a version that can.
    closed: Option<Arc<T>>,
}

/// Resources by the bits of their ids.
#[derive(Debug)]
pub(crate) struct Table<T> {
    items: HashMap<u128, Held<T>, ahash::RandomState>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { items: HashMap::default() }
    }
}

impl<T: Piece> Table<T> {
    /// The change that made the version in force, and what it adds to the digest.
    pub(crate) fn version(&self, id: u128) -> Option<(u64, Digest)> {
        self.items.get(&id).filter(|held| held.good.is_some()).map(|held| (held.n, held.member))
    }

    /// Takes a version in and returns what was held, or keeps that and says why.
    pub(crate) fn put(
        &mut self,
        id: u128,
        source: T::Source,
        change: Change,
        room: usize,
    ) -> Result<Option<Held<T>>, Vec<Reason>> {
        let weight = T::weight(&source);
        let old_weight = self.items.get(&id).map_or(0, |held| held.weight);
        let mut faults = T::faults(&source);
        if weight > MOST_BYTES.min(room.saturating_add(old_weight)) {
            faults.push(Reason::new("", format!("is too large ({weight} bytes)")));
        }
        if !self.items.contains_key(&id) && self.items.len() >= T::MOST {
            faults.push(Reason::new(
                "",
                format!("the organization has {} of its kind, the most there may be", T::MOST),
            ));
        }
        if faults.is_empty() {
            let good = Some(Arc::new(T::build(source, change.n)));
            let held = Held { n: change.n, member: change.member, weight, good, closed: None };
            return Ok(self.items.insert(id, held));
        }
        if change.tightens {
            self.close(id, Some(source));
        }
        Err(faults)
    }

    /// Makes a resource fail closed. `source`: the version that could not be applied, when readable.
    pub(crate) fn close(&mut self, id: u128, source: Option<T::Source>) {
        let good = self.items.get(&id).and_then(|held| held.good.as_deref()).cloned();
        let built = source.map(|source| T::build(source, 0));
        // What adds up closes the new scope beside the old version; what replaces closes the old one.
        let known = if T::STAYS { built.or(good) } else { good.or(built) };
        let Some(closed) = known.map(T::close).or_else(T::closed_blindly) else { return };
        let held = self.items.entry(id).or_insert(Held {
            n: 0,
            member: Digest::default(),
            weight: 0,
            good: None,
            closed: None,
        });
        held.closed = Some(Arc::new(closed));
    }

    /// Puts this in the place of what is held, which it returns; `None`: nothing.
    pub(crate) fn swap(&mut self, id: u128, held: Option<Held<T>>) -> Option<Held<T>> {
        match held {
            Some(held) => self.items.insert(id, held),
            None => self.items.remove(&id),
        }
    }

    /// Ids of everything held.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u128> {
        self.items.keys().copied()
    }

    /// What is in force, in no particular order.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = &Arc<T>> {
        self.items.values().flat_map(|held| {
            let good = held.good.as_ref().filter(|_| T::STAYS || held.closed.is_none());
            good.into_iter().chain(held.closed.as_ref())
        })
    }

    /// What is in force and not closed, and what is closed.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<T>> {
        self.items.values().filter(|held| held.closed.is_none()).filter_map(|held| held.good.as_ref())
    }

    /// What is closed.
    pub(crate) fn closed(&self) -> impl Iterator<Item = &Arc<T>> {
        self.items.values().filter_map(|held| held.closed.as_ref())
    }

    /// Bytes of a resource's variable parts.
    pub(crate) fn weight(&self, id: u128) -> usize {
        self.items.get(&id).map_or(0, |held| held.weight)
    }
}
