//! One node's config stream: Hello → Welcome → PoolKey → what it lacks of each shard → changes as
//! they happen, until either side ends it.
//!
//! A reader and a writer run side by side, so that a node which is slow to read can still speak.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_proto::config::{self as wire, control_message::Message as Say, node_message::Message as Said};
use tidegate_proto::{ConvertError, PROTOCOL_VERSION, positions_from_wire};
use tidegate_store::{Store, StoreError};
use tidegate_types::{Clock, Position, Revision, Shard};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::commands::{Commands, Order};
use crate::digests::{Compared, Digests};
use crate::feed::Feed;
use crate::fleet::{EAGER, NodeStatus};
use crate::material::Material;
use crate::metrics::PushMetrics;
use crate::nodes::{Admitted, Nodes, unavailable};
use crate::snapshot::{Outlet, Source};

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// A shard of a node is healed at most this often.
const HEAL_PERIOD: Duration = Duration::from_secs(20);
pub(crate) const HEARTBEAT_MS: u32 = 1000;

/// What every session needs.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) material: Arc<Material>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) digests: Digests,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) commands: Commands,
    pub(crate) metrics: PushMetrics,
}

/// Messages to the node, in order.
pub(crate) type Out = mpsc::Sender<Result<wire::ControlMessage, Status>>;

/// Runs a session to its end; the last thing the node hears is why it ended.
pub(crate) async fn run(
    shared: Arc<Shared>,
    node: Admitted,
    inbound: Streaming<wire::NodeMessage>,
    out: Out,
    stop: CancellationToken,
) {
    shared.metrics.sessions.inc();
    let left = node.not_after.millis_since(shared.clock.now()).max(0).unsigned_abs();
    let ended = tokio::select! {
        status = converse(&shared, &node, inbound, &out) => status,
        () = stop.cancelled() => Status::unavailable("the control plane is draining; reconnect"),
        () = node.gone.cancelled() => Status::permission_denied("this node may not connect any more"),
        () = tokio::time::sleep(Duration::from_millis(left)) => Status::unauthenticated("the certificate has expired"),
    };
    // A node that does not read must not hold up the end.
    if ended.code() != Code::Ok {
        let _ = out.try_send(Err(ended));
    }
    shared.metrics.sessions.dec();
}

async fn converse(
    shared: &Shared,
    node: &Admitted,
    mut inbound: Streaming<wire::NodeMessage>,
    out: &Out,
) -> Status {
    let (hello, position) = match greet(&mut inbound).await {
        Ok(greeted) => greeted,
        Err(status) => return status,
    };
    let orders = shared.commands.connected(node.node_id);
    let status = Mutex::new(NodeStatus::new(&hello));
    let (heal, heals) = mpsc::channel(Shard::COUNT);
    let ended = tokio::select! {
        status = listen(shared, node, inbound, &status) => status,
        status = speak(shared, node, position, out, orders, heals) => status,
        status = report(shared, node, &status, &heal) => status,
    };
    shared.commands.disconnected(node.node_id);
    ended
}

/// The node speaks first.
async fn greet(inbound: &mut Streaming<wire::NodeMessage>) -> Result<(wire::Hello, Position), Status> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, inbound.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no Hello came"))??;
    let Some(Said::Hello(hello)) = first.and_then(|message| message.message) else {
        return Err(Status::invalid_argument("the first message must be Hello"));
    };
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(Status::failed_precondition(format!(
            "this control plane speaks protocol {PROTOCOL_VERSION}"
        )));
    }
    let position = positions_from_wire(&hello.positions).map_err(|error| malformed(&error))?;
    Ok((hello, position))
}

pub(crate) fn malformed(error: &ConvertError) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Hears the node out until it ends, breaks the rules or falls silent.
async fn listen(
    shared: &Shared,
    node: &Admitted,
    mut inbound: Streaming<wire::NodeMessage>,
    status: &Mutex<NodeStatus>,
) -> Status {
    loop {
        let message = match tokio::time::timeout(SILENCE, inbound.message()).await {
            Err(_) => return Status::deadline_exceeded("no heartbeat came"),
            Ok(Err(error)) => return error,
            Ok(Ok(None)) => return Status::ok("the node ended the stream"),
            Ok(Ok(Some(message))) => message,
        };
        let heard = match message.message {
            Some(Said::Ack(ack)) => status.lock().acknowledge(ack),
            Some(Said::Heartbeat(beat)) => status.lock().heartbeat(&beat),
            Some(Said::CommandResult(result)) => {
                shared.commands.answered(node.node_id, result);
                Ok(())
            }
            Some(Said::Hello(_)) => return Status::invalid_argument("Hello comes only once"),
            // A message of a later version: nothing that this one must know.
            None => Ok(()),
        };
        if let Err(error) = heard {
            shared.metrics.malformed.inc();
            return malformed(&error);
        }
    }
}

/// Writes the node's state to the store, and compares what it holds with what it should.
async fn report(
    shared: &Shared,
    node: &Admitted,
    status: &Mutex<NodeStatus>,
    heal: &mpsc::Sender<Shard>,
) -> Status {
    let mut healed: HashMap<Shard, Instant> = HashMap::new();
    let mut tick = tokio::time::interval(EAGER);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let due = status.lock().due(Instant::now());
        if let Some(said) = due {
            let written =
                tidegate_store::fleet::heartbeat(&shared.store, node.node_id, &said, shared.clock.now())
                    .await;
            match written {
                Ok(()) => {}
                Err(StoreError::NotFound) => {
                    shared.nodes.cut(node.node_id);
                    return Status::permission_denied("this node may not connect any more");
                }
                // The database is away: the node goes on with what it has.
                Err(error) => tracing::debug!(%error, "a heartbeat was not written"),
            }
        }
        let to_compare = status.lock().take_acknowledged();
        for acknowledged in to_compare {
            let shard = acknowledged.revision.shard;
            let compared = shared
                .digests
                .compare(&node.pool, acknowledged.revision, &acknowledged.rejected, acknowledged.digest)
                .await;
            let differs = match compared {
                Ok(Compared::Equal | Compared::Outdated) => false,
                Ok(Compared::NotNow) | Err(_) => {
                    status.lock().compare_later(acknowledged);
                    false
                }
                Ok(Compared::Differs) => true,
            };
            let lately = healed.get(&shard).is_some_and(|at| at.elapsed() < HEAL_PERIOD);
            if differs && !lately {
                healed.insert(shard, Instant::now());
                shared.metrics.heals.inc();
                tracing::warn!(node = %node.node_id, shard = shard.index(), "a node's digest differs: healing");
                let _ = heal.send(shard).await;
            }
        }
    }
}

/// Tells the node everything that it lacks, for as long as it listens.
async fn speak(
    shared: &Shared,
    node: &Admitted,
    mut position: Position,
    out: &Out,
    mut orders: mpsc::Receiver<Order>,
    mut heals: mpsc::Receiver<Shard>,
) -> Status {
    let mut heads = shared.feed.heads();
    let begun = begin(shared, node, out).await;
    let mut voice = Voice { out, synchronised: false };
    let source =
        Source { store: &shared.store, feed: &shared.feed, metrics: &shared.metrics, pool: &node.pool };
    let spoken = match begun {
        Ok(()) => synchronise(&source, &mut heads, &mut position, &mut voice).await,
        Err(status) => Err(status),
    };
    if let Err(status) = spoken {
        return status;
    }
    loop {
        let step = tokio::select! {
            changed = heads.changed() => match changed {
                Ok(()) => catch_up(&source, &mut heads, &mut position, &mut voice).await,
                Err(_) => Err(Status::unavailable("the feed has ended")),
            },
            shard = heals.recv() => match shard {
                Some(shard) => mend(&source, shard, &heads, &mut position, &mut voice).await,
                None => Ok(()),
            },
            order = orders.recv() => match order {
                Some(Order::Command(command)) => voice.say(Say::Command(command)).await,
                None => Err(Status::aborted("the node began another stream")),
            },
        };
        if let Err(status) = step {
            return status;
        }
    }
}

/// Welcome, and the pool's key sealed to the node.
async fn begin(shared: &Shared, node: &Admitted, out: &Out) -> Result<(), Status> {
    let mut voice = Voice { out, synchronised: false };
    let welcome = wire::Welcome {
        node_id: node.node_id.to_string(),
        pool: node.pool.clone(),
        heartbeat_ms: HEARTBEAT_MS,
        control_time_micros: shared.clock.now().as_micros(),
    };
    voice.say(Say::Welcome(welcome)).await?;
    let Some(secrets) = shared.material.pools.get(&node.pool) else {
        return Err(Status::failed_precondition("this control plane started before the node's pool existed"));
    };
    let sealed = secrets
        .seal_to_node(node.node_id, &node.sealing_key)
        .map_err(|_| Status::failed_precondition("the node's sealing key cannot be used"))?;
    tracing::info!(node = %node.node_id, pool = node.pool, version = secrets.version, "pool key sent");
    voice.say(Say::PoolKey(wire::PoolKey { version: secrets.version, sealed })).await
}

/// The first synchronisation: every shard, the shared catalogue first; then says so.
async fn synchronise(
    source: &Source<'_>,
    heads: &mut watch::Receiver<Position>,
    position: &mut Position,
    voice: &mut Voice<'_>,
) -> Result<(), Status> {
    // The feed has looked at least once before any session begins, except in the first 100 ms.
    let looked = heads.wait_for(|heads| heads.iter().any(|head| head.n > 0));
    let _ = tokio::time::timeout(Duration::from_secs(2), looked).await;
    catch_up(source, heads, position, voice).await?;
    voice.synchronised = true;
    let n = position.get(Shard::SYSTEM);
    let shard = Shard::SYSTEM.index() as u32;
    let complete =
        wire::Delta { shard, from: n, to: n, last: true, synchronised: true, ..wire::Delta::default() };
    voice.say(Say::Delta(complete)).await
}

/// Everything up to the heads as they are now.
async fn catch_up(
    source: &Source<'_>,
    heads: &mut watch::Receiver<Position>,
    position: &mut Position,
    voice: &mut Voice<'_>,
) -> Result<(), Status> {
    let now = heads.borrow_and_update().clone();
    let order = std::iter::once(Shard::SYSTEM).chain(Shard::all().filter(|shard| *shard != Shard::SYSTEM));
    for shard in order {
        let (from, head) = (position.get(shard), now.get(shard));
        // A node that is ahead holds what a restored database does not: it gets the shard anew.
        if from != head && !(voice.synchronised && from > head) {
            bring(source, shard, from, head, position, voice).await?;
        }
    }
    Ok(())
}

/// Has the node drop a shard and get it anew.
async fn mend(
    source: &Source<'_>,
    shard: Shard,
    heads: &watch::Receiver<Position>,
    position: &mut Position,
    voice: &mut Voice<'_>,
) -> Result<(), Status> {
    voice.say(Say::Heal(wire::Heal { shard: shard.index() as u32 })).await?;
    let head = heads.borrow().get(shard);
    bring(source, shard, 0, head, position, voice).await
}

async fn bring(
    source: &Source<'_>,
    shard: Shard,
    from: u64,
    head: u64,
    position: &mut Position,
    voice: &mut Voice<'_>,
) -> Result<(), Status> {
    match source.bring(shard, from, head, voice).await {
        Ok(Some(n)) => {
            set(position, Revision { shard, n });
            Ok(())
        }
        Ok(None) => Err(Status::cancelled("the node no longer listens")),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Sets one shard of a position, also back.
fn set(position: &mut Position, at: Revision) {
    if position.get(at.shard) <= at.n {
        position.advance(at);
        return;
    }
    let mut lower = Position::default();
    position
        .iter()
        .filter(|revision| revision.shard != at.shard)
        .for_each(|revision| lower.advance(revision));
    lower.advance(at);
    *position = lower;
}

/// The way to the node; waits while it is slow to read.
struct Voice<'a> {
    out: &'a Out,
    synchronised: bool,
}

impl Voice<'_> {
    async fn say(&mut self, message: Say) -> Result<(), Status> {
        let message = wire::ControlMessage { message: Some(message) };
        self.out.send(Ok(message)).await.map_err(|_| Status::cancelled("the node no longer listens"))
    }
}

impl Outlet for Voice<'_> {
    async fn put(&mut self, delta: wire::Delta) -> bool {
        self.say(Say::Delta(delta)).await.is_ok()
    }
}
