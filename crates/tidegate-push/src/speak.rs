//! What a node is told: Welcome, the pool's key, what it lacks of every shard, then each change as
//! it happens, commands, and shards anew whose digest differed.

use std::time::Duration;

use tidegate_proto::config::{self as wire, control_message::Message as Say};
use tidegate_store::{StoreError, feed as stored};
use tidegate_types::{Position, Revision, Shard};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::PushError;
use crate::commands::Order;
use crate::nodes::{Admitted, unavailable};
use crate::session::{HEARTBEAT_MS, Out, Shared};
use crate::snapshot::{Outlet, Source};

/// A node that does not take the next message in this time loses its stream.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two messages that say that the node has everything.
const CURRENT_EVERY: Duration = Duration::from_secs(2);

type Heads = watch::Receiver<Option<Position>>;

/// One node's side of the writer.
pub(crate) struct Speaker<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) node: &'a Admitted,
    pub(crate) out: &'a Out,
    /// How far the node is, shard by shard.
    pub(crate) position: Position,
    /// Versions of the pool's key and of the peppers that it was told last.
    pub(crate) told: Option<(u32, Vec<u32>)>,
}

impl Speaker<'_> {
    /// Tells the node everything that it lacks, for as long as it listens; why that ended.
    pub(crate) async fn speak(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut heals: mpsc::Receiver<Shard>,
    ) -> Status {
        let mut heads = self.shared.feed.heads();
        if let Err(status) = self.begin().await {
            return status;
        }
        let mut assure = tokio::time::interval(CURRENT_EVERY);
        assure.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                _ = assure.tick() => self.assure(&mut heads).await,
                changed = heads.changed() => match changed {
                    Ok(()) => self.catch_up(&mut heads).await,
                    Err(_) => Err(Status::unavailable("the feed has ended")),
                },
                Some(shard) = heals.recv() => self.mend(shard, &heads).await,
                order = orders.recv() => match order {
                    Some(Order::Command(command)) => self.say(Say::Command(command)).await,
                    None => Err(Status::aborted("the node began another stream")),
                },
            };
            if let Err(status) = step {
                return status;
            }
        }
    }

    /// Up to the message that says that the node is complete.
    async fn begin(&mut self) -> Result<(), Status> {
        self.greet().await?;
        self.synchronise().await?;
        let n = self.position.get(Shard::SYSTEM);
        let shard = Shard::SYSTEM.index() as u32;
        let complete =
            wire::Delta { shard, from: n, to: n, last: true, synchronised: true, ..wire::Delta::default() };
        self.say(Say::Delta(complete)).await
    }

    /// Welcome, and the pool's key sealed to the node.
    async fn greet(&mut self) -> Result<(), Status> {
        let node = self.node;
        let welcome = wire::Welcome {
            node_id: node.node_id.to_string(),
            pool: node.pool.clone(),
            heartbeat_ms: HEARTBEAT_MS,
            control_time_micros: self.shared.clock.now().as_micros(),
        };
        self.say(Say::Welcome(welcome)).await?;
        self.tell_pool_key().await
    }

    /// The pool's secrets under its live keys, unless the node has them already.
    async fn tell_pool_key(&mut self) -> Result<(), Status> {
        let node = self.node;
        let found = self.shared.material.pool(&self.shared.store, &node.pool).await;
        let live = match found {
            Ok(live) => live,
            // The node goes on with what it has.
            Err(PushError::Store(_)) if self.told.is_some() => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, pool = node.pool, "the pool's key cannot be opened");
                return Err(Status::unavailable("the pool's key cannot be opened"));
            }
        };
        let Some(newest) = live.first() else {
            return Err(Status::failed_precondition("the node's pool has no key"));
        };
        let peppers: Vec<u32> = newest.peppers.export().map(|pepper| pepper.version).collect();
        let telling = (newest.version, peppers);
        if self.told.as_ref() == Some(&telling) {
            return Ok(());
        }
        // Who is new may lack the one before, too; the newest comes last.
        let lacking = if self.told.is_none() { live.len() } else { 1 };
        for secrets in live.iter().take(lacking).rev() {
            let sealed = secrets
                .seal_to_node(node.node_id, &node.sealing_key)
                .map_err(|_| Status::failed_precondition("the node's sealing key cannot be used"))?;
            tracing::info!(node = %node.node_id, pool = node.pool, version = secrets.version, "pool key sent");
            self.say(Say::PoolKey(wire::PoolKey { version: secrets.version, sealed })).await?;
        }
        self.told = Some(telling);
        Ok(())
    }

    /// The first time, up to what the database has at this moment: the feed's last look may be
    /// older, also than what the node was told by another control plane. Where a node is ahead of the database itself (it
    /// was restored), the shard is renewed, since it would not take what lies behind what it holds.
    async fn synchronise(&mut self) -> Result<(), Status> {
        let now = self.renewed().await.map_err(|error| unavailable(&error))?;
        // The shared catalogue first.
        self.bring(Shard::SYSTEM, now.get(Shard::SYSTEM)).await?;
        for shard in Shard::all().filter(|shard| *shard != Shard::SYSTEM) {
            self.bring(shard, now.get(shard)).await?;
        }
        Ok(())
    }

    /// The database's heads, beyond what the node holds.
    async fn renewed(&self) -> Result<Position, StoreError> {
        let Shared { store, feed, .. } = self.shared;
        let now = stored::heads(store).await?;
        let ahead: Vec<Shard> =
            self.position.iter().filter(|held| held.n > now.get(held.shard)).map(|held| held.shard).collect();
        for shard in &ahead {
            feed.renew(*shard, "a node is ahead of the database").await?;
        }
        if ahead.is_empty() { Ok(now) } else { stored::heads(store).await }
    }

    /// Everything up to the heads as they are now.
    async fn catch_up(&mut self, heads: &mut Heads) -> Result<(), Status> {
        let now = heads.borrow_and_update().clone().unwrap_or_default();
        let behind = now.iter().filter(|head| head.n > self.position.get(head.shard)).collect::<Vec<_>>();
        for head in behind {
            self.bring(head.shard, head.n).await?;
        }
        Ok(())
    }

    /// Says that the node has everything, if that is known: nodes count the time since then, and
    /// refuse organizations for which it gets too long.
    async fn assure(&mut self, heads: &mut Heads) -> Result<(), Status> {
        if !self.shared.feed.is_current() {
            return Ok(());
        }
        // Before any credential that is sealed under a newer one.
        self.tell_pool_key().await?;
        self.catch_up(heads).await?;
        let copy_issued_at_micros = self.shared.copies.issued_at_micros(&self.node.pool);
        self.say(Say::Current(wire::Current { copy_issued_at_micros })).await
    }

    /// Has the node drop a shard and get it anew.
    async fn mend(&mut self, shard: Shard, heads: &Heads) -> Result<(), Status> {
        self.say(Say::Heal(wire::Heal { shard: shard.index() as u32 })).await?;
        let head = heads.borrow().as_ref().map_or(0, |heads| heads.get(shard));
        let head = head.max(self.position.get(shard));
        self.fetch(shard, 0, head).await
    }

    async fn bring(&mut self, shard: Shard, head: u64) -> Result<(), Status> {
        let from = self.position.get(shard);
        if from == head { Ok(()) } else { self.fetch(shard, from, head).await }
    }

    async fn fetch(&mut self, shard: Shard, from: u64, head: u64) -> Result<(), Status> {
        let Shared { store, feed, metrics, .. } = self.shared;
        let source = Source { store, feed, metrics, node: self.node.node_id, pool: &self.node.pool };
        match source.bring(shard, from, head, self).await {
            Ok(Some(n)) => {
                self.place(Revision { shard, n });
                Ok(())
            }
            Ok(None) => Err(Status::cancelled("the node no longer listens")),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Sets one shard of the position, also back.
    fn place(&mut self, at: Revision) {
        let mut position = Position::default();
        self.position.iter().filter(|held| held.shard != at.shard).for_each(|held| position.advance(held));
        position.advance(at);
        self.position = position;
    }

    /// Says something; waits while the node is slow to read.
    async fn say(&mut self, message: Say) -> Result<(), Status> {
        let message = wire::ControlMessage { message: Some(message) };
        let sent = tokio::time::timeout(PATIENCE, self.out.send(Ok(message))).await;
        sent.map_err(|_| Status::deadline_exceeded("the node does not read"))?
            .map_err(|_| Status::cancelled("the node no longer listens"))
    }
}

impl Outlet for Speaker<'_> {
    async fn put(&mut self, delta: wire::Delta) -> bool {
        self.say(Say::Delta(delta)).await.is_ok()
    }
}
