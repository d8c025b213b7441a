//! Publishes copies of the configuration on a volume, one file for each pool: nodes without a disk of their own start by
//! them while the control plane is away.

mod known;
mod reserves;
mod write;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_secrets::copy::{AHEAD_MILLIS, CopyError, Header, Record};
use tidegate_store::{Store, copies, feed as stored};
use tidegate_types::{Clock, NodeId, Position, Revision, Shard, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::PushError;
use crate::feed::Feed;
use crate::material::Material;
use crate::metrics::PushMetrics;
use crate::snapshot::Source;
pub(crate) use known::Copies;
use reserves::Spare;
use write::{Piece, Pieces, Place};

/// A copy that holds everything is made anew all the same after this time: nodes take none that is too old.
const LONGEST_MILLIS: i64 = 600_000;
/// Before the database ends the turn.
const LONGEST_TURN: Duration = Duration::from_secs(copies::TURN_SECONDS - 60);
/// In so many rounds a copy catches up with what changes while it is read.
const ROUNDS: usize = 10;
/// No member of any wave: a copy holds what is released.
const NOBODY: NodeId = NodeId::from_u128(0);
/// Records that wait to be written.
const WAITING: usize = 4;

/// Where copies are published, and for whom.
#[derive(Debug, Clone)]
pub struct CopySettings {
    /// A folder on a volume that every control plane writes and nodes read.
    pub folder: PathBuf,
    /// Public key of the node class (X25519).
    pub class_key: [u8; 32],
    /// Between two looks whether a copy has to be made.
    pub every: Duration,
    /// Identities in each copy for nodes that cannot enrol.
    pub reserves: usize,
}

/// Makes copies for as long as the control plane runs.
pub(crate) struct Publisher {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) material: Arc<Material>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) metrics: PushMetrics,
    pub(crate) settings: CopySettings,
    /// The reserves of this process, by pool: their keys are nowhere but here and in copies.
    pub(crate) spares: HashMap<String, Vec<Spare>>,
}

impl Publisher {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(self.settings.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(round) = stop.run_until_cancelled(self.round()).await else { return };
            match round {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the copy of the configuration is published again");
                    }
                }
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::error!(%error, "the copy of the configuration cannot be published");
                }
                Err(error) => tracing::debug!(%error, "still no copy of the configuration"),
            }
        }
    }

    /// One pool's trouble keeps no other pool from its copy.
    async fn round(&mut self) -> Result<(), PushError> {
        tidegate_store::reserves::forget_expired(&self.store, self.clock.now()).await?;
        let mut outcome = Ok(());
        for pool in copies::pools(&self.store).await? {
            let published = tokio::time::timeout(LONGEST_TURN, self.publish(&pool)).await;
            let late = || std::io::Error::other("writing it took too long");
            outcome = published.unwrap_or_else(|_| Err(CopyError::from(late()).into())).and(outcome);
        }
        outcome
    }

    async fn publish(&mut self, pool: &str) -> Result<(), PushError> {
        let Some(mut turn) = copies::begin(&self.store, pool).await? else { return Ok(()) };
        let heads = stored::heads(&self.store).await?;
        let positions: Vec<u64> = Shard::all().map(|shard| heads.get(shard)).collect();
        let place = Place { path: self.settings.folder.join(format!("{pool}.copy")) };
        let (there, now) = (place.header().await, self.clock.now());
        let is_newest = |there: &Header| {
            there.issued_at == turn.before()
                && there.positions == positions
                && now.millis_since(there.issued_at) < LONGEST_MILLIS
        };
        if there.as_ref().is_some_and(is_newest) {
            return Ok(());
        }
        let spares = self.spares(pool, now).await?;
        let there = there.map(|there| there.issued_at);
        let issued_at = issue(now, [Some(turn.before()), there]);
        let header = Header { pool: pool.to_owned(), issued_at, positions };
        let (records, waiting) = mpsc::channel(WAITING);
        let authority = Arc::clone(&self.material.authority);
        let writing = write::start(place, header, self.settings.class_key, authority, waiting);
        // Where this fails the writer finds no end and leaves the copy of before.
        let read = self.read(pool, heads, spares, Pieces(records)).await;
        let written = writing.await.map_err(|_| std::io::Error::other("writing it ended in a panic"));
        read?;
        let draft = written??;
        // Fails where the turn is over: another control plane may be at work.
        turn.note(issued_at).await?;
        draft.publish(there).await?;
        turn.end().await?;
        tracing::debug!(pool, at = %issued_at, "a copy of the configuration is published");
        Ok(())
    }

    /// Everything that the pool's nodes get, then what changed meanwhile: a version that came while others were read is
    /// in no snapshot.
    async fn read(
        &self,
        pool: &str,
        mut heads: Position,
        spares: Vec<Record>,
        mut out: Pieces,
    ) -> Result<(), PushError> {
        let secrets = self.material.pool(&self.store, pool).await?;
        // The newest last, as nodes are told.
        for one in secrets.into_iter().rev() {
            out.say(Piece::Record(Record::Secrets(one))).await;
        }
        for spare in spares {
            out.say(Piece::Record(spare)).await;
        }
        let Self { store, feed, metrics, .. } = self;
        let source = Source { store, feed, metrics, node: NOBODY, pool };
        let mut at = Position::default();
        for round in 0..=ROUNDS {
            // What is only begun in the last round has nobody who looks what changed meanwhile.
            let is_due = |head: &Revision| {
                let n = at.get(head.shard);
                head.n > n && (n > 0 || round < ROUNDS)
            };
            let behind: Vec<Revision> = heads.iter().filter(is_due).collect();
            if behind.is_empty() {
                break;
            }
            for Revision { shard, n } in behind {
                if let Some(n) = source.bring(shard, at.get(shard), n, &mut out).await? {
                    at.advance(Revision { shard, n });
                }
            }
            heads = stored::heads(store).await?;
        }
        out.say(Piece::End).await;
        Ok(())
    }
}

/// The time of the next copy: later than those before it, whatever the clocks say. One that is far ahead was set by a
/// clock that was wrong, and nodes refuse it.
fn issue(now: Timestamp, before: [Option<Timestamp>; 2]) -> Timestamp {
    let plausible = before.into_iter().flatten().filter(|at| at.millis_since(now) <= AHEAD_MILLIS);
    plausible.map(|at| Timestamp::from_micros(at.as_micros() + 1)).fold(now, Timestamp::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_is_later_than_the_one_before_unless_that_is_from_a_time_to_come() {
        let at = Timestamp::from_micros;
        let now = at(1_000_000_000_000);
        assert_eq!(issue(now, [None, None]), now);
        assert_eq!(issue(now, [Some(at(5)), None]), now);
        let ahead = now.plus_millis(1_000);
        assert_eq!(issue(now, [Some(ahead), Some(at(7))]), at(ahead.as_micros() + 1));
        assert_eq!(issue(now, [Some(at(7)), Some(ahead)]), at(ahead.as_micros() + 1));
        assert_eq!(
            issue(now, [Some(now.plus_millis(AHEAD_MILLIS + 1)), Some(ahead)]),
            at(ahead.as_micros() + 1)
        );
    }
}
