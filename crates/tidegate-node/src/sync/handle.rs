//! What the node holds: the configuration, how far it is, and whether it is complete.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tidegate_policy::{Applied, Config, Part};
use tidegate_proto::config::{Ack, Delta};
use tidegate_types::{Clock, NodeId, OrganizationId, Position, Revision, Shard};

use super::apply;
use super::cache::{Cache, Kept};
use super::contact::Contact;
use super::foreign::Foreign;
use super::keeper::{Keep, Keeper};
use super::told::Tells;
use crate::error::NodeError;
use crate::state::State;

/// Why a delta was not taken. The stream starts afresh then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("there is no such shard")]
    NoShard,
    #[error("it does not continue what is held")]
    Gap,
    #[error("applying it failed")]
    Panicked,
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
}

#[derive(Debug, Clone, Copy, Default)]
struct ShardPlace {
    n: u64,
    /// A delta in parts is under way; whether it replaces the shard.
    open: Option<bool>,
}

impl Handle {
    /// Starts from what the disk has, and goes on keeping it.
    pub(crate) fn start(
        config: Arc<Config>,
        state: Arc<State>,
        node: NodeId,
        clock: Arc<dyn Clock>,
        tells: Tells,
    ) -> Result<Self, NodeError> {
        let cache = Cache::open(Arc::clone(&state), node)?;
        let mut complete = cache.is_complete();
        let mut touched = BTreeSet::new();
        let foreign = Foreign::default();
        let mut shards = vec![ShardPlace::default(); Shard::COUNT];
        // One shard after the other: all of them at once would need the memory twice.
        for (shard, place) in Shard::all().zip(&mut shards) {
            let mut first = true;
            let kept = cache.kept(shard, |part| {
                let first = std::mem::replace(&mut first, false);
                foreign.note(shard, part, first);
                let restored = restore(&config, shard, part, first);
                restored.map(|with_budgets| touched.extend(with_budgets)).is_ok()
            });
            match kept {
                Kept::Nothing => {}
                Kept::Whole(to) => place.n = to,
                // Served until it has come anew.
                Kept::AsAnotherReleaseReadIt => {}
                Kept::Unfit => complete = false,
            }
        }
        let contact = Contact::restore(Arc::clone(&config), clock, &state);
        let keeper = Keeper::start(cache, state).map_err(NodeError::io("start a thread"))?;
        let (shards, complete) = (Mutex::new(shards), AtomicBool::new(complete));
        let handle = Self { config, shards, complete, foreign, contact, keeper, tells };
        handle.tells.of(touched, []);
        Ok(handle)
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
            self.place(shard, |place| *place = ShardPlace::default());
        }
    }

    /// Applies one part of a delta; answers once its last part is applied.
    pub(crate) fn apply(&self, mut delta: Delta) -> Result<Option<Ack>, NotTaken> {
        let shard = u8::try_from(delta.shard).ok().and_then(Shard::new).ok_or(NotTaken::NoShard)?;
        let place = self.shards.lock().get(shard.index()).copied().unwrap_or_default();
        let first = place.open.is_none();
        if place.open.is_some_and(|replace| replace != delta.replace)
            || (first && !delta.replace && delta.from != place.n)
        {
            // The next stream asks for the whole shard.
            self.place(shard, |place| *place = ShardPlace::default());
            return Err(NotTaken::Gap);
        }
        let changes = apply::changes(shard, &delta.resources);
        let touched = apply::with_budgets(&changes);
        let part = if delta.replace { Part::Snapshot { first, last: delta.last } } else { Part::Delta };
        let mut applied = catch_unwind(AssertUnwindSafe(|| self.config.apply(shard, changes, part)))
            .map_err(|_| NotTaken::Panicked)?;
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
        let contact = if synchronised { self.contact.synchronised() } else { self.contact.confirm() };
        if let Some(at) = contact {
            self.keeper.keep(Keep::Contact(at));
        }
        if synchronised {
            self.complete.store(true, Ordering::Release);
            self.keeper.keep(Keep::Complete);
        }
        self.tells.of(touched, std::mem::take(&mut applied.revoked));
        Ok(last.then(|| self.acknowledge(shard, to, applied)))
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
        let held = Shard::all().zip(places).filter(|(_, place)| place.n > 0);
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
        self.keeper.stop();
    }
}

fn restore(
    config: &Config,
    shard: Shard,
    part: &Delta,
    first: bool,
) -> Result<BTreeSet<OrganizationId>, NotTaken> {
    let changes = apply::changes(shard, &part.resources);
    let touched = apply::with_budgets(&changes);
    let part = Part::Snapshot { first, last: part.last };
    catch_unwind(AssertUnwindSafe(|| config.apply(shard, changes, part)))
        .map(|_| touched)
        .map_err(|_| NotTaken::Panicked)
}
