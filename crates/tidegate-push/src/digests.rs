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

/// A shard is read at most this often for comparing digests.
const PERIOD: Duration = Duration::from_secs(2);

/// The last reading of a shard.
#[derive(Clone)]
struct Reading {
    at: Instant,
    n: u64,
    // With nothing rejected.
    digest: Digest,
    // The same as nodes see it that pass kinds over which they do not know, and what they pass over.
    without: (Digest, Arc<[(ResourceKey, u64)]>),
    // Something in it is of a kind that this release does not know.
    beyond: bool,
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
    /// There are kinds that only a later release knows: nodes may have them from its control planes, or not.
    Unknown,
    /// Read too recently: ask again later.
    NotNow,
}

/// The digests of all shards, per pool.
pub(crate) struct Digests {
    store: Store,
    readings: Mutex<HashMap<(Shard, String), Reading>>,
}

impl Digests {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, readings: Mutex::default() }
    }

    /// Compares what a node of `pool` holds of a shard at `n`, having rejected these resources
    /// (their texts in digests, and which version). `names_kinds`: the node would name a kind that it does not know.
    pub(crate) async fn compare(
        &self,
        pool: &str,
        at: Revision,
        rejected: &HashSet<(String, u64)>,
        found: Digest,
        names_kinds: bool,
    ) -> Result<Compared, StoreError> {
        let place = (at.shard, pool.to_owned());
        let known = self.readings.lock().get(&place).cloned();
        let expected = match known {
            Some(reading) if reading.n > at.n => return Ok(Compared::Outdated),
            Some(reading) if reading.n == at.n && rejected.is_empty() => reading,
            Some(reading) if reading.at.elapsed() < PERIOD => return Ok(Compared::NotNow),
            _ => {
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
            _ if !names_kinds && found == without => Compared::EqualWithout(passed_over),
            _ if expected.beyond => Compared::Unknown,
            _ => Compared::Differs,
        })
    }
}

impl Reading {
    fn of(n: u64, resources: &[Hashed], shard: Shard, pool: &str, rejected: &HashSet<(String, u64)>) -> Self {
        let (mut digest, mut without, mut passed_over) = (Digest::default(), Digest::default(), Vec::new());
        let beyond = resources.iter().any(|resource| ResourceKind::parse(&resource.kind).is_none());
        for resource in resources.iter().filter(|r| is_for_pool(&r.kind, &r.id, pool)) {
            let revision = Revision { shard, n: resource.n };
            let applied = rejected.is_empty() || !rejected.contains(&(resource.key.clone(), resource.n));
            let member = Digest::of_member(&resource.key, revision, &resource.content_hash, applied);
            digest.add(member);
            match ResourceKind::parse(&resource.kind) {
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
        Self { at: Instant::now(), n, digest, without: (without, passed_over.into()), beyond }
    }
}
