//! What a node's digest of a shard should be, computed from the store alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_proto::KINDS_PASSED_OVER;
use tidegate_store::watch::{self, Hashed};
use tidegate_store::{Store, StoreError};
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::{Digest, Revision, Shard};
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
    readings: Mutex<HashMap<Place, Reading>>,
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
        Self { store, readings: Mutex::default(), looking: Mutex::default() }
    }

    /// Compares what a node of `pool` holds of a shard at `n`, having rejected these resources
    /// (their texts in digests, and which version).
    pub(crate) async fn compare(
        &self,
        pool: &str,
        at: Revision,
        rejected: &HashSet<(String, u64)>,
        found: Digest,
        knows: Knows,
    ) -> Result<Compared, StoreError> {
        let place = (at.shard, pool.to_owned());
        let known = self.readings.lock().get(&place).cloned();
        let expected = match known {
            Some(reading) if reading.n > at.n => return Ok(Compared::Outdated),
            Some(reading) if reading.n == at.n && rejected.is_empty() => reading,
            Some(reading) if reading.at.elapsed() < PERIOD => return Ok(Compared::NotNow),
            _ => {
                // Many nodes ask at once when a control plane starts: one of them looks.
                let Some(_looking) = Looking::begin(&self.looking, &place) else {
                    return Ok(Compared::NotNow);
                };
                let (n, resources) = watch::hashes(&self.store, at.shard, pool).await?;
                let plain = Reading::of(n, &resources, at.shard, pool, &HashSet::new());
                self.readings.lock().insert(place, plain.clone());
                if n != at.n {
                    return Ok(Compared::Outdated);
                }
                if rejected.is_empty() { plain } else { Reading::of(n, &resources, at.shard, pool, rejected) }
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
}

impl Reading {
    fn of(n: u64, resources: &[Hashed], shard: Shard, pool: &str, rejected: &HashSet<(String, u64)>) -> Self {
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
