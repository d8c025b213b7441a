//! Folds deltas of one shard into the newest version of each resource, in two passes over a log that
//! may be too large to be held.

use std::collections::HashMap;

use tidegate_proto::config::{Delta, ResourceKey, VersionedResource};
use tidegate_types::Shard;

/// Where the newest version of each resource stands in a log: the first of two passes over it.
#[derive(Default)]
pub(crate) struct Newest {
    places: HashMap<Box<str>, Place>,
    to: u64,
    /// Of a delta whose last part has not come.
    open: Vec<(Box<str>, Place)>,
    replaces: bool,
    broken: bool,
    /// Records noted, then records taken.
    record: u64,
    /// Records up to the last that is complete.
    whole: u64,
}

struct Place {
    n: u64,
    record: u64,
    present: bool,
}

impl Newest {
    /// Notes the next record.
    pub(crate) fn note(&mut self, delta: &Delta) {
        self.record += 1;
        self.broken |= !delta.replace && delta.from != self.to;
        self.replaces |= delta.replace;
        let record = self.record;
        self.open.extend(delta.resources.iter().filter_map(|resource| {
            let place = Place { n: resource.n, record, present: resource.resource.is_some() };
            Some((name(resource.key.as_ref()?), place))
        }));
        if !delta.last || self.broken {
            return;
        }
        if std::mem::take(&mut self.replaces) {
            self.places.clear();
        }
        for (name, place) in self.open.drain(..) {
            if self.places.get(&name).is_none_or(|held| held.n <= place.n) {
                self.places.insert(name, place);
            }
        }
        self.to = delta.to;
        self.whole = self.record;
    }

    /// How far what is complete reaches; 0 when nothing is.
    pub(crate) const fn to(&self) -> u64 {
        self.to
    }

    /// The records of which it consists.
    pub(crate) const fn whole(&self) -> u64 {
        self.whole
    }

    /// What is there and is not in the other.
    pub(crate) fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let is_there = |name: &str| other.places.get(name).is_some_and(|place| place.present);
        let present = self.places.iter().filter(|(_, place)| place.present).map(|(name, _)| &**name);
        present.filter(move |name| !is_there(name))
    }

    /// Ends the first pass: a delta from 0 that replaces the shard, still empty and not the last part;
    /// `None` when nothing was complete.
    pub(crate) fn begin(&mut self, shard: Shard) -> Option<Delta> {
        // What was deleted need not be said.
        self.places.retain(|_, place| place.present);
        self.record = 0;
        (self.to > 0).then(|| Delta {
            shard: shard.index() as u32,
            from: 0,
            to: self.to,
            replace: true,
            last: false,
            resources: Vec::new(),
            synchronised: false,
        })
    }

    /// The resources of the next record that are the newest of theirs.
    pub(crate) fn take(&mut self, delta: Delta) -> impl Iterator<Item = VersionedResource> {
        self.record += 1;
        delta.resources.into_iter().filter(|resource| {
            let Some(name) = resource.key.as_ref().map(name) else { return false };
            let stands_here = |place: &Place| place.record == self.record && place.n == resource.n;
            self.places.get(&name).is_some_and(stands_here) && self.places.remove(&name).is_some()
        })
    }
}

/// One text for a key, so that a million of them take little room.
fn name(key: &ResourceKey) -> Box<str> {
    [key.organization_id.as_str(), "/", &key.kind, "/", &key.id].concat().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Key = (String, String, String);

    /// The same by holding everything: what the two passes must find.
    #[derive(Default)]
    struct Fold {
        held: BTreeMap<Key, VersionedResource>,
        to: u64,
        parts: Vec<Delta>,
        /// Something is missing: what follows cannot be taken.
        broken: bool,
    }

    impl Fold {
        /// Adds the next part.
        fn add(&mut self, delta: Delta) {
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
        fn finish(self, shard: Shard) -> Option<Delta> {
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

    fn resource(id: u64, n: u64, present: bool) -> VersionedResource {
        let key = ResourceKey { organization_id: "org".into(), kind: "key".into(), id: id.to_string() };
        let content = present.then(tidegate_proto::config::Resource::default);
        VersionedResource { key: Some(key), n, resource: content, ..VersionedResource::default() }
    }

    fn delta(from: u64, to: u64, resources: Vec<VersionedResource>) -> Delta {
        Delta { shard: 0, from, to, replace: from == 0, last: true, resources, synchronised: false }
    }

    fn in_two_passes(log: &[Delta]) -> Option<Delta> {
        let mut newest = Newest::default();
        log.iter().for_each(|delta| newest.note(delta));
        let mut whole = newest.begin(Shard::new(0)?)?;
        for delta in log {
            whole.resources.extend(newest.take(delta.clone()));
        }
        whole.last = true;
        whole.resources.sort_by_key(|resource| resource.key.as_ref().map(|key| key.id.clone()));
        Some(whole)
    }

    fn at_once(log: &[Delta]) -> Option<Delta> {
        let mut fold = Fold::default();
        log.iter().for_each(|delta| fold.add(delta.clone()));
        fold.finish(Shard::new(0)?)
    }

    #[test]
    fn two_passes_find_what_holding_everything_finds() {
        let part = |delta: Delta, last| Delta { last, ..delta };
        let first = delta(0, 9, vec![resource(1, 3, true), resource(2, 9, true), resource(3, 4, true)]);
        let changed = delta(9, 12, vec![resource(1, 10, true), resource(2, 12, false)]);
        let replaced = delta(0, 30, vec![resource(7, 30, true)]);
        let logs = [
            vec![],
            vec![first.clone()],
            vec![first.clone(), changed.clone()],
            // In parts; then a part that has no successor.
            vec![part(first.clone(), false), delta(0, 9, vec![resource(4, 5, true)]), changed.clone()],
            vec![first.clone(), part(changed.clone(), false)],
            // A gap: nothing behind it counts.
            vec![first.clone(), delta(10, 12, vec![resource(1, 12, true)]), changed.clone()],
            vec![first.clone(), changed, replaced.clone()],
            vec![first, part(replaced, false), delta(0, 30, vec![resource(8, 30, true)])],
        ];
        for (case, log) in logs.iter().enumerate() {
            assert_eq!(in_two_passes(log), at_once(log), "{case}");
        }
        assert_eq!(in_two_passes(&logs[2]).map(|delta| delta.resources.len()), Some(2));
    }
}
