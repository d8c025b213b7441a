//! Revocations on their way: for how long a node that is connected here has not acknowledged one.
//!
//! Counted from the look at the feed that found it, a tenth of a second after its commit, or from the node's connection,
//! whichever is later. A node without any of the shard serves none of its keys, and is not waited for.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_store::feed::Item;
use tidegate_types::resource::{KeyStatus, Resource, ResourceKind};
use tidegate_types::{Position, Shard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::PushMetrics;

/// Those that come within this time are one, as old as the first.
const TOGETHER: Duration = Duration::from_secs(1);
/// Remembered of a shard; of more the oldest become one.
const REMEMBERED: usize = 1_024;
const MEASURED_EVERY: Duration = Duration::from_millis(500);

/// What was revoked, and who has not acknowledged it.
#[derive(Default)]
pub(crate) struct Revocations {
    /// Numbers of changes, and when they were seen: both rise.
    seen: Mutex<HashMap<Shard, VecDeque<(u64, Instant)>>>,
    waited_for: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    sessions: u64,
    since: HashMap<u64, Instant>,
}

/// One session's part; what is waited for ends with it.
pub(crate) struct Session<'a> {
    all: &'a Revocations,
    id: u64,
    began: Instant,
}

impl Revocations {
    /// Remembers those among changes that were seen now.
    pub(crate) fn note(&self, items: &[Item], now: Instant) {
        for item in items.iter().filter(|item| is_revocation(item)) {
            let revision = item.versioned.revision;
            let mut seen = self.seen.lock();
            let of_shard = seen.entry(revision.shard).or_default();
            match of_shard.back_mut() {
                Some((n, at)) if now.duration_since(*at) < TOGETHER => *n = revision.n.max(*n),
                _ => of_shard.push_back((revision.n, now)),
            }
            if of_shard.len() > REMEMBERED
                && let (Some((_, oldest)), Some((_, next))) = (of_shard.pop_front(), of_shard.front_mut())
            {
                *next = oldest;
            }
        }
    }

    /// A node has connected.
    pub(crate) fn session(&self, now: Instant) -> Session<'_> {
        let mut waits = self.waited_for.lock();
        waits.sessions += 1;
        Session { all: self, id: waits.sessions, began: now }
    }

    /// Since when the oldest is not acknowledged that a node at this position lacks.
    fn lacking(&self, applied: &Position) -> Option<Instant> {
        let seen = self.seen.lock();
        let oldest = |held: tidegate_types::Revision| {
            let of_shard = seen.get(&held.shard)?;
            of_shard.get(of_shard.partition_point(|(n, _)| *n <= held.n)).map(|(_, at)| *at)
        };
        applied.iter().filter(|held| held.n > 0).filter_map(oldest).min()
    }

    /// For how long the oldest has not been acknowledged by everybody who is connected.
    pub(crate) fn unacknowledged(&self, now: Instant) -> Duration {
        let oldest = self.waited_for.lock().since.values().min().copied();
        oldest.map_or(Duration::ZERO, |at| now.duration_since(at))
    }

    /// Measures until `stop`.
    pub(crate) async fn measure(&self, metrics: &PushMetrics, stop: CancellationToken) {
        let mut tick = tokio::time::interval(MEASURED_EVERY);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let seconds = self.unacknowledged(Instant::now()).as_secs();
            metrics.revocations_unacknowledged.set(i64::try_from(seconds).unwrap_or(i64::MAX));
        }
    }
}

impl Session<'_> {
    /// Where the node is now.
    pub(crate) fn is_at(&self, applied: &Position) {
        let lacking = self.all.lacking(applied).map(|seen| seen.max(self.began));
        let mut waits = self.all.waited_for.lock();
        match lacking {
            Some(since) => drop(waits.since.insert(self.id, since)),
            None => drop(waits.since.remove(&self.id)),
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.all.waited_for.lock().since.remove(&self.id);
    }
}

/// A key that is revoked, or gone.
fn is_revocation(item: &Item) -> bool {
    match &item.versioned.resource {
        Some(Resource::Key(key)) => key.status == KeyStatus::Revoked,
        Some(_) => false,
        None => item.versioned.key.kind == ResourceKind::Key && item.content_hash.is_none(),
    }
}
