//! The feed: one look at the heads each 100 ms for all sessions, and the newest changes of each
//! shard kept in memory, so that a change is read once however many nodes want it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_store::feed::{self, Item};
use tidegate_store::watch::HeadWatch;
use tidegate_store::{Store, StoreError};
use tidegate_types::resource::ResourceKey;
use tidegate_types::{Clock, Position, Revision, Shard};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::PushMetrics;
use crate::revocations::Revocations;

const PERIOD: Duration = Duration::from_millis(100);
/// Changes kept per shard: a node that is further behind reads from the store.
const KEPT: usize = 256;
/// A look at the store that is older proves nothing any more.
const FRESH: Duration = Duration::from_secs(2);
/// Rows read at once.
pub(crate) const PAGE: u32 = 500;
/// Sessions that read many rows and send them at the same time: bounds memory when many nodes come
/// at once. A node that does not read loses its place after a while (see `speak`).
const READERS: usize = 16;

/// The newest changes of every shard.
pub(crate) struct Feed {
    store: Store,
    // None until the first look.
    heads: watch::Sender<Option<Position>>,
    /// When the store was last seen whole.
    looked: Mutex<Option<Instant>>,
    recent: Vec<Mutex<Recent>>,
    unreadable: Mutex<HashMap<ResourceKey, Revision>>,
    pub(crate) revocations: Revocations,
    readers: Semaphore,
    clock: Arc<dyn Clock>,
    metrics: PushMetrics,
}

/// The changes of one shard after `floor`, in order, without gaps up to `head`.
#[derive(Default)]
struct Recent {
    floor: u64,
    head: u64,
    items: VecDeque<Item>,
}

impl Feed {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, metrics: PushMetrics) -> Self {
        let recent = Shard::all().map(|_| Mutex::default()).collect();
        Self {
            store,
            heads: watch::Sender::default(),
            looked: Mutex::default(),
            recent,
            unreadable: Mutex::default(),
            revocations: Revocations::default(),
            readers: Semaphore::new(READERS),
            clock,
            metrics,
        }
    }

    /// The heads, and how to wait for the next change.
    pub(crate) fn heads(&self) -> watch::Receiver<Option<Position>> {
        self.heads.subscribe()
    }

    /// Whether the heads are the store's as of a moment ago.
    pub(crate) fn is_current(&self) -> bool {
        self.looked.lock().is_some_and(|at| at.elapsed() < FRESH)
    }

    /// A place among the readers of many rows.
    pub(crate) async fn reader(&self) -> Option<SemaphorePermit<'_>> {
        self.readers.acquire().await.ok()
    }

    /// The changes of a shard after `from`, and the revision to which they lead, at least `head`;
    /// `None` when they are not, or no longer, in memory.
    pub(crate) fn recent(&self, shard: Shard, from: u64, head: u64) -> Option<(Vec<Item>, u64)> {
        let recent = self.recent.get(shard.index())?.lock();
        if from < recent.floor || from > recent.head || recent.head < head {
            return None;
        }
        let after = recent.items.partition_point(|item| item.versioned.revision.n <= from);
        Some((recent.items.iter().skip(after).cloned().collect(), recent.head))
    }

    /// Reports the items that cannot be read, each version once, and forgets those of which a later version can, or
    /// is a deletion.
    pub(crate) fn note_unreadable(&self, items: &[Item]) {
        for item in items {
            let (key, revision) = (&item.versioned.key, item.versioned.revision);
            if !item.is_unreadable() {
                let mut unreadable = self.unreadable.lock();
                if unreadable.get(key).is_some_and(|noted| noted.n < revision.n) {
                    unreadable.remove(key);
                }
                continue;
            }
            if self.unreadable.lock().insert(key.clone(), revision) != Some(revision) {
                self.metrics.unreadable.inc();
                if item.unknown.is_empty() {
                    tracing::error!(resource = %key, n = revision.n, "a stored resource cannot be read");
                } else {
                    tracing::error!(resource = %key, n = revision.n, "a stored resource requires a later release");
                }
            }
        }
    }

    /// Whether something of a shard cannot be read: then digests differ and nothing heals them.
    pub(crate) fn has_unreadable(&self, shard: Shard) -> bool {
        self.unreadable.lock().values().any(|revision| revision.shard == shard)
    }

    /// Has a shard come whole under new numbers, since somebody holds changes of it that the database has not: it was
    /// restored, or lost its last transactions. Whether that was done now; it is at most once an hour.
    pub(crate) async fn renew(&self, shard: Shard, why: &'static str) -> Result<bool, StoreError> {
        let renewed = feed::renew(&self.store, shard, self.clock.now()).await?;
        if renewed {
            self.metrics.renewals.inc();
            tracing::warn!(
                shard = shard.index(),
                why,
                "changes are known that the database has not (was it restored?): the shard comes whole under new numbers"
            );
        }
        Ok(renewed)
    }

    /// Looks for changes until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut watch = HeadWatch::new(self.store.clone());
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let began = Instant::now();
            let looked = self.look(&mut watch).await;
            if looked.is_ok() {
                *self.looked.lock() = Some(began);
            }
            if looked.is_err() != away {
                away = looked.is_err();
                match looked {
                    Err(error) => tracing::warn!(%error, "the feed cannot be read"),
                    Ok(()) => tracing::info!("the feed is read again"),
                }
            }
            if away {
                tokio::time::sleep(PERIOD * 5).await;
            }
        }
    }

    async fn look(&self, watch: &mut HeadWatch) -> Result<(), StoreError> {
        let heads = watch.look().await?;
        let before = self.heads.borrow().clone();
        if before.as_ref() == Some(&heads) {
            return Ok(());
        }
        let known = before.unwrap_or_default();
        let gone: Vec<Shard> =
            known.iter().filter(|known| known.n > heads.get(known.shard)).map(|known| known.shard).collect();
        for shard in &gone {
            self.renew(*shard, "the feed itself has seen them").await?;
            // Its next look goes on from there.
            self.forget(*shard);
        }
        let mut reached = Position::default();
        known.iter().filter(|known| !gone.contains(&known.shard)).for_each(|known| reached.advance(known));
        for head in heads.iter().filter(|head| head.n > known.get(head.shard)) {
            let n = self.take(head.shard, head.n, known.get(head.shard)).await?;
            reached.advance(Revision { shard: head.shard, n });
        }
        self.heads.send_replace(Some(reached));
        Ok(())
    }

    fn forget(&self, shard: Shard) {
        if let Some(recent) = self.recent.get(shard.index()) {
            *recent.lock() = Recent::default();
        }
    }

    /// Keeps what is new in a shard; where it leads.
    async fn take(&self, shard: Shard, head: u64, known: u64) -> Result<u64, StoreError> {
        // At the start, and after more changes than are kept, sessions read from the store.
        let items = match known {
            0 => Vec::new(),
            _ => feed::changes_since(&self.store, shard, known, PAGE).await?,
        };
        self.note_unreadable(&items);
        self.revocations.note(&items, Instant::now());
        let Some(recent) = self.recent.get(shard.index()) else { return Ok(head) };
        let mut recent = recent.lock();
        if known == 0 || items.len() as u32 == PAGE {
            *recent = Recent { floor: head, head, items: VecDeque::new() };
            return Ok(head);
        }
        let newest = items.last().map_or(head, |item| item.versioned.revision.n.max(head));
        recent.items.extend(items);
        recent.head = newest;
        while recent.items.len() > KEPT {
            if let Some(oldest) = recent.items.pop_front() {
                recent.floor = oldest.versioned.revision.n;
            }
        }
        Ok(newest)
    }
}
