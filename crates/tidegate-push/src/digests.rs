//! What a node's digest of a shard should be, computed from the store alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_proto::KINDS_PASSED_OVER;
use tidegate_store::watch::{self, Hashed, Hashes};
use tidegate_store::{Store, StoreError};
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::{Digest, NodeId, Revision, Shard};
use tokio::time::Instant;

use crate::assemble::is_for_pool;
use crate::fleet::Knows;

/// A shard is read at most this often for comparing digests.
const PERIOD: Duration = Duration::from_secs(2);

/// The last reading of a shard.
#[derive(Clone)]
struct Reading {
    at: Instant,
    n: u64,
    // With nothing rejected. Of kinds that this release does not know, what a node names is in it.
    digest: Digest,
    // With all of those kinds too; `None`: there are none.
    beyond: Option<Digest>,
    // As nodes see it that pass kinds over which they do not know, and what they pass over.
    without: (Digest, Arc<[(ResourceKey, u64)]>),
}

/// What a node could not apply: texts in digests, and which version.
type Rejected = HashSet<(String, u64)>;

/// Of nodes that reject something, readings of so many sets of a shard are kept: one per release, more or less.
const SETS: usize = 4;

/// The last readings of a shard, all of the same `n`.
struct Readings {
    plain: Reading,
    /// Nodes that hold versions which are staged: they are compared once the wave has ended.
    members: Vec<NodeId>,
    // Of nodes that reject the same, the latest last: one bad resource is rejected by all of them.
    rejecting: Vec<(Rejected, Reading)>,
}

/// What the comparison came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Equal,
    /// But for these, of kinds that the node's release does not know.
    EqualWithout(Arc<[(ResourceKey, u64)]>),
    Differs,
    /// The shard has moved on: the node's next acknowledgement will tell.
    Outdated,
    /// There are kinds that only a later release knows, the node among others: what it has of them nobody here can tell,
    /// and sending it the shard anew would take them away.
    Unknown,
    /// Read too recently: ask again later.
    NotNow,
}

/// The digests of all shards, per pool.
pub(crate) struct Digests {
    store: Store,
    period: Duration,
    readings: Mutex<HashMap<Place, Readings>>,
    // Being read at this moment.
    looking: Mutex<HashSet<Place>>,
}

/// A shard as a pool's nodes see it.
type Place = (Shard, String);

/// A look at the store; nobody else begins the same one before it ends.
struct Looking<'a> {
    all: &'a Mutex<HashSet<Place>>,
    place: Place,
}

impl<'a> Looking<'a> {
    fn begin(all: &'a Mutex<HashSet<Place>>, place: &Place) -> Option<Self> {
        all.lock().insert(place.clone()).then(|| Self { all, place: place.clone() })
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.place);
    }
}

impl Digests {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, period: PERIOD, readings: Mutex::default(), looking: Mutex::default() }
    }

    /// Compares what a node of `pool` holds of a shard at `n`, having rejected these resources
    /// (their texts in digests, and which version).
    pub(crate) async fn compare(
        &self,
        node: NodeId,
        pool: &str,
        at: Revision,
        rejected: &Rejected,
        found: Digest,
        knows: Knows,
    ) -> Result<Compared, StoreError> {
        let place = (at.shard, pool.to_owned());
        // At once, who holds what is staged and the reading: others look meanwhile.
        let known = self.readings.lock().get(&place).map(|readings| readings.of(node, rejected));
        let expected = match known {
            Some(Known { n, .. }) if n > at.n => return Ok(Compared::Outdated),
            Some(Known { n, holds_staged: true, .. }) if n == at.n => return Ok(Compared::Outdated),
            Some(Known { n, reading: Some(reading), .. }) if n == at.n => reading,
            Some(Known { read_at, .. }) if read_at.elapsed() < self.period => return Ok(Compared::NotNow),
            _ => {
                // Many nodes ask at once when a control plane starts: one of them looks.
                let Some(_looking) = Looking::begin(&self.looking, &place) else {
                    return Ok(Compared::NotNow);
                };
                let Hashes { n, resources, members } = watch::hashes(&self.store, at.shard, pool).await?;
                let read = |rejected: &Rejected| Reading::of(n, &resources, at.shard, pool, rejected);
                let plain = read(&Rejected::new());
                let expected = if rejected.is_empty() { plain.clone() } else { read(rejected) };
                let holds_staged = members.contains(&node);
                self.keep(place, plain, members, rejected, &expected);
                if n != at.n || holds_staged {
                    return Ok(Compared::Outdated);
                }
                expected
            }
        };
        let (without, passed_over) = expected.without;
        Ok(match found {
            _ if found == expected.digest => Compared::Equal,
            _ if !knows.names_unknown && found == without => Compared::EqualWithout(passed_over),
            _ if knows.more && expected.beyond == Some(found) => Compared::Equal,
            _ if knows.more && expected.beyond.is_some() => Compared::Unknown,
            _ => Compared::Differs,
        })
    }

    fn keep(
        &self,
        place: Place,
        plain: Reading,
        members: Vec<NodeId>,
        rejected: &Rejected,
        expected: &Reading,
    ) {
        let mut all = self.readings.lock();
        let before = all.remove(&place).filter(|before| before.plain.n == plain.n);
        let mut rejecting = before.map(|before| before.rejecting).unwrap_or_default();
        if !rejected.is_empty() {
            rejecting.retain(|(set, _)| set != rejected);
            if rejecting.len() >= SETS {
                rejecting.remove(0);
            }
            rejecting.push((rejected.clone(), expected.clone()));
        }
        all.insert(place, Readings { plain, members, rejecting });
    }
}

/// What is known for one node.
struct Known {
    n: u64,
    /// When the shard was read last.
    read_at: Instant,
    holds_staged: bool,
    /// `None`: it was not read for nodes that reject what this one rejects.
    reading: Option<Reading>,
}

impl Readings {
    fn of(&self, node: NodeId, rejected: &Rejected) -> Known {
        let reading = match rejected.is_empty() {
            true => Some(&self.plain),
            false => self.rejecting.iter().find(|(set, _)| set == rejected).map(|(_, reading)| reading),
        };
        Known {
            n: self.plain.n,
            read_at: self.plain.at,
            holds_staged: self.members.contains(&node),
            reading: reading.cloned(),
        }
    }
}

impl Reading {
    fn of(n: u64, resources: &[Hashed], shard: Shard, pool: &str, rejected: &Rejected) -> Self {
        let (mut digest, mut without, mut passed_over) = (Digest::default(), Digest::default(), Vec::new());
        let mut unnamed = Digest::default();
        let mut beyond = false;
        for resource in resources.iter().filter(|r| is_for_pool(&r.kind, &r.id, pool)) {
            let revision = Revision { shard, n: resource.n };
            let applied = rejected.is_empty() || !rejected.contains(&(resource.key.clone(), resource.n));
            let member = Digest::of_member(&resource.key, revision, &resource.content_hash, applied);
            let kind = ResourceKind::parse(&resource.kind);
            beyond |= kind.is_none();
            // A node that cannot apply it either names it, if another control plane sent it.
            if kind.is_none() && applied {
                unnamed.add(member);
                continue;
            }
            digest.add(member);
            match kind {
                Some(kind) if KINDS_PASSED_OVER.contains(&kind) => {
                    let organization = resource.key.split('/').next().and_then(|text| text.parse().ok());
                    let key = organization.map(|organization_id| ResourceKey {
                        organization_id,
                        kind,
                        id: resource.id.clone(),
                    });
                    passed_over.extend(key.map(|key| (key, resource.n)));
                }
                _ => without.add(member),
            }
        }
        unnamed.add(digest);
        let beyond = beyond.then_some(unnamed);
        Self { at: Instant::now(), n, digest, beyond, without: (without, passed_over.into()) }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_store::testing::TestDatabase;

    use super::*;

    #[tokio::test]
    async fn nodes_that_reject_the_same_are_compared_with_one_look_at_the_store() {
        let database = TestDatabase::create().await.unwrap();
        let digests = Digests::new(database.store().await.unwrap());
        let set = |n| Rejected::from([("an item of the catalogue".to_owned(), n)]);
        let ask = async |digests: &Digests, rejected: &Rejected, n| {
            let at = Revision { shard: Shard::new(7).unwrap(), n };
            let knows = Knows { names_unknown: true, more: false };
            digests
                .compare(NodeId::from_u128(1), "default", at, rejected, Digest::default(), knows)
                .await
                .unwrap()
        };
        // The store is asked once, however slow the machine is.
        let digests = Digests { period: Duration::from_hours(1), ..digests };
        for _ in 0..1_000 {
            assert_eq!(ask(&digests, &set(1), 0).await, Compared::Equal);
        }
        assert_eq!(ask(&digests, &Rejected::new(), 0).await, Compared::Equal);
        assert_eq!(ask(&digests, &set(2), 0).await, Compared::NotNow, "another set is another look");
        assert_eq!(ask(&digests, &set(1), 1).await, Compared::NotNow, "and so is another state of the shard");
        // Later both are known, until there are too many.
        let digests = Digests { period: Duration::ZERO, ..digests };
        for n in 2..=5 {
            assert_eq!(ask(&digests, &set(n), 0).await, Compared::Equal);
        }
        let digests = Digests { period: Duration::from_hours(1), ..digests };
        assert_eq!(ask(&digests, &set(2), 0).await, Compared::Equal);
        assert_eq!(ask(&digests, &set(1), 0).await, Compared::NotNow);
    }
}
