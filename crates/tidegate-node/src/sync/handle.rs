//! What the node holds: the configuration, how far it is, and whether it is complete.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_policy::{Applied, Config, Part};
use tidegate_proto::config::{Ack, Delta};
use tidegate_types::{Clock, NodeId, Position, Revision, Shard};
use tokio::sync::Notify;

use super::apply;
use super::cache::{Cache, Kept};
use super::contact::Contact;
use super::foreign::Foreign;
use super::keeper::{Keep, Keeper};
use super::load::Load;
use super::told::Tells;
use super::trial::{Applying, Guarded, Trial};
use super::withheld::{Fate, HeldBack, Withheld, withhold};
use crate::copy::Begun;
use crate::error::NodeError;
use crate::settings::{Probe, Seen};
use crate::state::State;

/// Why a delta was not taken. The stream starts afresh then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("there is no such shard")]
    NoShard,
    #[error("it does not continue what is held")]
    Gap,
    #[error("what it continues was held back; everything since then is asked for")]
    HeldBack,
}

/// Shared by the feed's client, the heartbeats and the opener of epochs.
pub(crate) struct Handle {
    pub(crate) config: Arc<Config>,
    shards: Mutex<Vec<ShardPlace>>,
    complete: AtomicBool,
    foreign: Foreign,
    contact: Contact,
    keeper: Keeper,
    tells: Tells,
    held: HeldBack,
    applying: Applying,
    probe: Probe,
    watch: Mutex<Watch>,
    guarded: Arc<Guarded>,
    /// A pause is over.
    due: Notify,
}

/// What the node holds by.
pub(crate) struct Begin {
    pub(crate) config: Arc<Config>,
    pub(crate) state: Arc<State>,
    pub(crate) node: NodeId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tells: Tells,
    /// The release, for display.
    pub(crate) release: String,
    pub(crate) trial: Duration,
    pub(crate) probe: Probe,
}

/// For how long the node has served.
struct Watch {
    since: Option<Instant>,
    trial: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
struct ShardPlace {
    n: u64,
    /// A delta in parts is under way; whether it replaces the shard.
    open: Option<bool>,
}

impl Handle {
    /// Starts from what the disk has, and goes on keeping it.
    pub(crate) fn start(begin: Begin) -> Result<Self, NodeError> {
        let Begin { config, state, node, clock, tells, release, trial: period, probe } = begin;
        let watch = Mutex::new(Watch { since: None, trial: period });
        let mut cache = Cache::open(Arc::clone(&state), node)?;
        let trial = Trial::begin(Arc::clone(&state), &cache, &release)?;
        let applying = Applying::open(&state);
        let mut load = Load {
            config: &config,
            trial,
            period,
            probe: &probe,
            begun_by_copy: Begun::read(&state).is_some_and(|begun| begun.node == Some(node)),
            foreign: Foreign::default(),
            held: HeldBack::default(),
            touched: BTreeSet::new(),
            revoked: Vec::new(),
        };
        let mut complete = cache.is_complete();
        let mut shards = vec![ShardPlace::default(); Shard::COUNT];
        // One shard after the other: all of them at once would need the memory twice.
        for (shard, place) in Shard::all().zip(&mut shards) {
            match applying.during(shard, cache.newest(shard), || load.shard(&mut cache, shard)) {
                Kept::Nothing => {}
                Kept::Whole(to) => place.n = to,
                // Served until it has come anew.
                Kept::AsAnotherReleaseReadIt => {}
                Kept::Unfit => complete = false,
            }
        }
        let Load { mut trial, foreign, held, touched, revoked, .. } = load;
        trial.loaded(&mut cache);
        let guarded = trial.seen();
        let contact = Contact::restore(Arc::clone(&config), clock, &state);
        let keeper = Keeper::start(cache, trial, state).map_err(NodeError::io("start a thread"))?;
        let (shards, complete) = (Mutex::new(shards), AtomicBool::new(complete));
        tells.of(touched, revoked);
        Ok(Self {
            config,
            shards,
            complete,
            foreign,
            contact,
            keeper,
            tells,
            held,
            applying,
            probe,
            watch,
            guarded,
            due: Notify::new(),
        })
    }

    /// Looks whether what is on trial has passed: the node serves, and has done so all the time. Also whether what is
    /// held back is to be tried. Does not wait.
    pub(crate) fn look(&self, serves: bool) {
        if self.held.is_due() {
            self.due.notify_one();
        }
        let mut watch = self.watch.lock();
        let Some(since) = watch.since.filter(|_| serves) else {
            watch.since = serves.then(Instant::now);
            return;
        };
        if since.elapsed() >= watch.trial && self.keeper.offer(Keep::Healthy) {
            watch.since = Some(Instant::now());
        }
    }

    /// Waits until what was held back is to be asked for once more.
    pub(crate) async fn is_due(&self) {
        self.due.notified().await;
    }

    /// Shards with something on trial, those of which changes are held back, and deaths in a row.
    pub(crate) fn guarded(&self) -> [u64; 3] {
        let places: Vec<u64> = self.shards.lock().iter().map(|place| place.n).collect();
        let on_trial = self.guarded.on_trial(places.into_iter());
        [on_trial, self.held.count() as u64, self.guarded.deaths.load(Ordering::Relaxed)]
    }

    fn place(&self, shard: Shard, change: impl FnOnce(&mut ShardPlace)) {
        if let Some(place) = self.shards.lock().get_mut(shard.index()) {
            change(place);
        }
    }

    /// How far every shard is applied.
    pub(crate) fn position(&self) -> Position {
        let mut position = Position::default();
        let shards = self.shards.lock();
        for (shard, place) in Shard::all().zip(shards.iter()) {
            position.advance(Revision { shard, n: place.n });
        }
        position
    }

    /// Whether the node holds everything that was in the feed at some moment.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Whether the control plane has brought everything that it has, on the present stream.
    pub(crate) fn is_in_step(&self) -> bool {
        self.contact.is_in_step()
    }

    /// A new stream begins: parts of the last one will not be continued.
    pub(crate) fn restart(&self) {
        self.contact.restart();
        self.shards.lock().iter_mut().for_each(|place| place.open = None);
    }

    /// The control plane found that a shard differs: it will be sent anew.
    pub(crate) fn forget_position(&self, shard: u32) {
        if let Some(shard) = u8::try_from(shard).ok().and_then(Shard::new) {
            tracing::warn!(
                shard = shard.index(),
                "the shard differs from the control plane's: it is fetched anew"
            );
            // What is held back will not be taken anew either: the last good one goes on.
            if !self.held.has(shard) {
                self.place(shard, |place| *place = ShardPlace::default());
            }
        }
    }

    /// Applies one part of a delta; answers once its last part is applied.
    pub(crate) fn apply(&self, delta: Delta) -> Result<Option<Ack>, NotTaken> {
        let shard = u8::try_from(delta.shard).ok().and_then(Shard::new).ok_or(NotTaken::NoShard)?;
        let place = self.shards.lock().get(shard.index()).copied().unwrap_or_default();
        match self.held.fate(shard, &delta, place.n) {
            Fate::Applied => {}
            Fate::HeldBack => return Ok(self.hold_back(shard, place, &delta)),
            Fate::Tried => self.keeper.keep(Keep::Tried(shard)),
            Fate::Lacks => return Err(NotTaken::HeldBack),
        }
        self.applying.during(shard, delta.to, || self.take(shard, place, delta))
    }

    fn take(&self, shard: Shard, place: ShardPlace, mut delta: Delta) -> Result<Option<Ack>, NotTaken> {
        let first = place.open.is_none();
        if place.open.is_some_and(|replace| replace != delta.replace)
            || (first && !delta.replace && delta.from != place.n)
        {
            // The next stream asks for the whole shard.
            self.place(shard, |place| *place = ShardPlace::default());
            return Err(NotTaken::Gap);
        }
        let changes = apply::changes(shard, &delta.resources, &self.probe);
        let touched = apply::with_budgets(&changes);
        let part = if delta.replace { Part::Snapshot { first, last: delta.last } } else { Part::Delta };
        let applied = catch_unwind(AssertUnwindSafe(|| {
            self.probe.see(Seen::Part(&delta));
            self.config.apply(shard, changes, part)
        }));
        let Ok(mut applied) = applied else {
            // All other shards go on.
            tracing::error!(
                shard = shard.index(),
                to = delta.to,
                "applying a delta ended in a panic: it is held back"
            );
            self.held.hold(shard, delta.to, None);
            return Ok(self.hold_back(shard, place, &delta));
        };
        self.foreign.note(shard, &delta, first);
        let (last, to, synchronised) = (delta.last, delta.to, delta.synchronised);
        self.place(shard, |place| match last {
            true => *place = ShardPlace { n: to, open: None },
            false => place.open = Some(delta.replace),
        });
        if delta.replace || !delta.resources.is_empty() || delta.to != delta.from {
            apply::without_rejected(&mut delta, &applied.rejected);
            self.keeper.keep(Keep::Part { shard, delta, first });
        }
        self.note_contact(synchronised);
        self.tells.of(touched, std::mem::take(&mut applied.revoked));
        Ok(last.then(|| self.acknowledge(shard, to, applied)))
    }

    /// Takes of one part of a delta only what it takes away; answers with what is held instead.
    fn hold_back(&self, shard: Shard, place: ShardPlace, delta: &Delta) -> Option<Ack> {
        let newer: Vec<_> = delta.resources.iter().filter(|one| one.n > place.n).cloned().collect();
        let Withheld { applied, revoked } = withhold(&self.config, shard, &newer);
        self.place(shard, |place| place.open = None);
        self.note_contact(delta.synchronised);
        self.tells.of([], revoked);
        applied.filter(|_| delta.last).map(|applied| self.acknowledge(shard, place.n, applied))
    }

    fn note_contact(&self, synchronised: bool) {
        let contact = if synchronised { self.contact.synchronised() } else { self.contact.confirm() };
        if let Some(at) = contact {
            self.keeper.keep(Keep::Contact(at));
        }
        if synchronised {
            self.complete.store(true, Ordering::Release);
            self.keeper.keep(Keep::Complete);
        }
    }

    fn acknowledge(&self, shard: Shard, n: u64, applied: Applied) -> Ack {
        let (mut digest, rejected) = (applied.digest, apply::rejections(applied.rejected));
        let mut ack = Ack { shard: shard.index() as u32, n, digest: Vec::new(), rejected };
        self.foreign.tell(shard, &mut digest, &mut ack);
        ack.digest = digest.to_u128().to_be_bytes().to_vec();
        ack
    }

    /// What is held at this moment, shard by shard: a control plane that has only just met this node does not know what
    /// is rejected, nor whether the one before it could send everything.
    pub(crate) fn standing(&self) -> Vec<Ack> {
        let places = self.shards.lock().clone();
        let held = Shard::all().zip(places).filter(|(shard, place)| place.n > 0 || self.held.has(*shard));
        held.map(|(shard, place)| {
            let applied = self.config.apply(shard, Vec::new(), Part::Delta);
            self.acknowledge(shard, place.n, applied)
        })
        .collect()
    }

    /// The control plane says that this is all there is. May wait for the disk.
    pub(crate) fn confirm(&self) {
        if let Some(at) = self.contact.confirm() {
            self.keeper.keep(Keep::Contact(at));
        }
    }

    /// Keeps a sealed pool key for a start without the control plane.
    pub(crate) fn keep_pool_key(&self, version: u32, sealed: Vec<u8>) {
        self.keeper.keep(Keep::PoolKey { version, sealed });
    }

    /// Writes what is left to disk and ends the writing thread. Blocks.
    pub(crate) fn stop_keeping(&self) {
        self.keeper.keep(Keep::Contact(self.contact.last()));
        self.keeper.keep(Keep::End);
        self.keeper.stop();
    }
}
