//! What a node's digest of a shard should be, computed from the store alone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_store::watch::{self, Hashed};
use tidegate_store::{Store, StoreError};
use tidegate_types::{Digest, Revision, Shard};
use tokio::time::Instant;

use crate::assemble::is_for_pool;

/// A shard is read at most this often for comparing digests.
const PERIOD: Duration = Duration::from_secs(2);

/// The last reading of a shard.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    n: u64,
    // With nothing rejected.
    digest: Digest,
}

/// What the comparison came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Equal,
    Differs,
    /// The shard has moved on: the node's next acknowledgement will tell.
    Outdated,
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
    /// (their texts in digests, and which version).
    pub(crate) async fn compare(
        &self,
        pool: &str,
        at: Revision,
        rejected: &HashSet<(String, u64)>,
        found: Digest,
    ) -> Result<Compared, StoreError> {
        let place = (at.shard, pool.to_owned());
        let known = self.readings.lock().get(&place).copied();
        let expected = match known {
            Some(reading) if reading.n > at.n => return Ok(Compared::Outdated),
            Some(reading) if reading.n == at.n && rejected.is_empty() => reading.digest,
            Some(reading) if reading.at.elapsed() < PERIOD => return Ok(Compared::NotNow),
            _ => {
                let (n, resources) = watch::hashes(&self.store, at.shard, pool).await?;
                let nothing = HashSet::new();
                let plain = digest(&resources, at.shard, pool, &nothing);
                self.readings.lock().insert(place, Reading { at: Instant::now(), n, digest: plain });
                if n != at.n {
                    return Ok(Compared::Outdated);
                }
                if rejected.is_empty() { plain } else { digest(&resources, at.shard, pool, rejected) }
            }
        };
        Ok(if expected == found { Compared::Equal } else { Compared::Differs })
    }
}

fn digest(resources: &[Hashed], shard: Shard, pool: &str, rejected: &HashSet<(String, u64)>) -> Digest {
    let mut digest = Digest::default();
    for resource in resources.iter().filter(|r| is_for_pool(&r.kind, &r.id, pool)) {
        let revision = Revision { shard, n: resource.n };
        let applied = rejected.is_empty() || !rejected.contains(&(resource.key.clone(), resource.n));
        digest.add(Digest::of_member(&resource.key, revision, &resource.content_hash, applied));
    }
    digest
}
