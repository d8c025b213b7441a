//! One node's config stream: Hello → Welcome → PoolKey → what it lacks of each shard → changes as
//! they happen, until either side ends it.
//!
//! A reader and a writer run side by side, so that a node which is slow to read can still speak.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_proto::config::{self as wire, node_message::Message as Said};
use tidegate_proto::{ConvertError, PROTOCOL_VERSION, positions_from_wire};
use tidegate_store::fleet::{self, Heartbeat};
use tidegate_store::{Store, StoreError, trust_rules};
use tidegate_types::{Clock, Position, Shard};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::commands::Commands;
use crate::copy::Copies;
use crate::digests::{Compared, Digests};
use crate::feed::Feed;
use crate::fleet::{Acknowledged, EAGER, NodeStatus};
use crate::healing::{Healing, Remedy};
use crate::material::Material;
use crate::metrics::PushMetrics;
use crate::nodes::{Admitted, Nodes};
use crate::speak::Speaker;

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
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
    pub(crate) copies: Arc<Copies>,
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
    shared.commands.disconnected(node.node_id);
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
    let orders = shared.commands.connected(node.node_id, &node.pool);
    let status = Mutex::new(NodeStatus::new(&hello, position.clone()));
    let speaker = Speaker { shared, node, out, position, told: None };
    let (heal, heals) = mpsc::channel(Shard::COUNT);
    let ended = tokio::select! {
        status = listen(shared, node, inbound, &status) => status,
        status = speaker.speak(orders, heals) => status,
        status = report(shared, node, &status, &heal) => status,
    };
    // It may end before its last words would be written. One that fell silent has long started again.
    let last = status.lock().last_words().filter(|_| ended.code() != Code::DeadlineExceeded);
    if let Some(said) = last {
        let _ = write(shared, node, &said).await;
    }
    ended
}

/// Writes what the node says of itself.
async fn write(shared: &Shared, node: &Admitted, said: &Heartbeat) -> Result<(), StoreError> {
    let written = fleet::heartbeat(&shared.store, node.node_id, said, shared.clock.now()).await;
    if let Err(error) = &written {
        tracing::debug!(%error, "a heartbeat was not written");
    }
    written
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
            Some(Said::Heartbeat(beat)) => {
                want_keys(shared, node, &beat).await;
                status.lock().heartbeat(&beat)
            }
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

/// Issuers are asked again at most this often, however many nodes ask for it.
const KEYS_PAUSE_MS: i64 = 30_000;
/// Rules whose issuers' keys one heartbeat may ask for.
const MOST_WANTED: usize = 64;

/// Has issuers' keys fetched that the node met tokens of and does not hold. What it may not ask for, or what
/// was fetched a moment ago, is passed over.
async fn want_keys(shared: &Shared, node: &Admitted, beat: &wire::Heartbeat) {
    let parse = |wanted: &wire::WantedKeys| {
        Some((wanted.organization_id.parse().ok()?, wanted.trust_rule_id.parse().ok()?))
    };
    let rules: Vec<_> = beat.wanted_keys.iter().take(MOST_WANTED).filter_map(parse).collect();
    if rules.is_empty() {
        return;
    }
    let (store, now) = (&shared.store, shared.clock.now());
    if let Err(error) = trust_rules::wanted(store, &node.pool, &rules, now, KEYS_PAUSE_MS).await {
        tracing::debug!(%error, "issuers' keys that a node wants were not noted");
    }
}

/// Writes the node's state to the store, and compares what it holds with what it should.
async fn report(
    shared: &Shared,
    node: &Admitted,
    status: &Mutex<NodeStatus>,
    heal: &mpsc::Sender<Shard>,
) -> Status {
    let mut healing = Healing::default();
    let revocations = shared.feed.revocations.session(Instant::now());
    let mut tick = tokio::time::interval(EAGER);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        revocations.is_at(status.lock().applied());
        let due = status.lock().due(Instant::now());
        if let Some(said) = due {
            // Where the database is away the node goes on with what it has.
            if let Err(StoreError::NotFound) = write(shared, node, &said).await {
                shared.nodes.cut(node.node_id);
                return Status::permission_denied("this node may not connect any more");
            }
        }
        let to_compare = status.lock().take_acknowledged();
        for acknowledged in to_compare {
            let shard = acknowledged.revision.shard;
            if !differs(shared, node, status, &mut healing, &acknowledged).await
                || shared.feed.has_unreadable(shard)
            {
                continue;
            }
            match healing.differs(shard, Instant::now()) {
                Remedy::Heal => {
                    shared.metrics.heals.inc();
                    tracing::warn!(node = %node.node_id, shard = shard.index(), "a node's digest differs: healing");
                    let _ = heal.send(shard).await;
                    status.lock().compare_later(acknowledged);
                }
                Remedy::Wait => status.lock().compare_later(acknowledged),
                Remedy::Renew => {
                    if let Err(error) = shared.feed.renew(shard, "a node keeps what it holds").await {
                        tracing::warn!(%error, shard = shard.index(), "a shard was not renewed");
                    }
                }
                Remedy::Leave => {}
            }
        }
    }
}

/// Whether the node holds something else than the store has; what cannot be told now is put back.
async fn differs(
    shared: &Shared,
    node: &Admitted,
    status: &Mutex<NodeStatus>,
    healing: &mut Healing,
    said: &Acknowledged,
) -> bool {
    let (shard, knows) = (said.revision.shard, status.lock().knows);
    let compared = shared
        .digests
        .compare(node.node_id, &node.pool, said.revision, &said.rejected, said.digest, knows)
        .await;
    let passed_over = match compared {
        Ok(Compared::Outdated | Compared::Unknown) => return false,
        Ok(Compared::NotNow) | Err(_) => {
            status.lock().compare_later(said.clone());
            return false;
        }
        Ok(Compared::Differs) => None,
        Ok(Compared::Equal) => Some(Arc::default()),
        Ok(Compared::EqualWithout(resources)) => Some(resources),
    };
    shared.metrics.compared.inc();
    let Some(passed_over) = passed_over else { return true };
    healing.is_equal(shard);
    status.lock().passes_over(shard, &passed_over);
    false
}
