//! Puts a node together, in the order in which its parts need each other, and takes it apart.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_limits::{End, Limiter, Settlement};
use tidegate_policy::Config;
use tidegate_proto::usage::BillingEvent;
use tidegate_proxy::{Authority, Gateway, Records, Vault};
use tidegate_telemetry::Metrics;
use tidegate_types::window::Window;
use tidegate_types::{Clock, NodeId, Secret};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::NodeError;
use crate::identity::{self, Identity};
use crate::journal::{Journal, JournalSettings};
use crate::link::{ControlPlane, Link};
use crate::observe::Gauges;
use crate::opener::Opener;
use crate::pulse::Pulse;
use crate::records::JournalRecords;
use crate::state::State;
use crate::sync::{self, Handle, Keeper};
use crate::vault::NodeVault;
use crate::{listen, observe, ship};

/// Between two looks at readiness and the counter store's run.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What is left of the journal gets this long at the end.
const SHIP_AT_END: Duration = Duration::from_secs(30);

/// Makes the request's path out of what the node lends it.
pub type MakeGateway = Box<dyn Fn(Edges) -> Arc<Gateway> + Send + Sync>;

/// What a node is made of.
pub struct NodeSettings {
    /// Folder of the node's own: keys, last good configuration, journal. One process at a time.
    pub state: PathBuf,
    /// Name for people.
    pub name: String,
    /// Version of the software, for display.
    pub software_version: String,
    /// Where the control plane is.
    pub control: ControlPlane,
    /// Needed once, until the state folder holds an identity.
    pub join_token: Option<Secret>,
    /// The gateway's address.
    pub gateway_listen: SocketAddr,
    /// TLS for it.
    pub gateway_tls: Option<Arc<rustls::ServerConfig>>,
    /// The address of `/metrics`, `/livez`, `/readyz`.
    pub metrics_listen: SocketAddr,
    /// Rates, slots, budgets.
    pub limiter: Limiter,
    /// Makes the request's path out of what the node lends it.
    pub gateway: MakeGateway,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The process's metrics.
    pub metrics: Metrics,
    /// Most bytes of the journal; `None`: 4 GiB.
    pub journal_limit_bytes: Option<u64>,
    /// Between two heartbeats.
    pub heartbeat: Duration,
}

impl std::fmt::Debug for NodeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeSettings")
            .field("state", &self.state)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What the node lends to the request's path ([`tidegate_proxy::Parts`]).
pub struct Edges {
    /// What the node holds.
    pub config: Arc<Config>,
    /// The journal.
    pub records: Arc<dyn Records>,
    /// The opener of budget epochs.
    pub authority: Arc<dyn Authority>,
    /// Opened secrets.
    pub vault: Arc<dyn Vault>,
    /// Whether the node serves.
    pub ready: Arc<AtomicBool>,
}

impl std::fmt::Debug for Edges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Edges")
    }
}

/// How a node starts.
#[derive(Debug)]
pub struct Node;

/// A node that runs. End it with [`RunningNode::drain`].
pub struct RunningNode {
    node_id: NodeId,
    pool: String,
    gateway_address: SocketAddr,
    metrics_address: SocketAddr,
    gateway: Arc<Gateway>,
    journal: Arc<Journal>,
    limiter: Limiter,
    pulse: Arc<Pulse>,
    drain_asked: CancellationToken,
    /// Ends accepting.
    stop_accepting: CancellationToken,
    /// Ends everything else.
    stop: CancellationToken,
    connections: TaskTracker,
    tasks: TaskTracker,
}

impl std::fmt::Debug for RunningNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningNode").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// What has been made before tasks start.
struct Made {
    identity: Arc<Identity>,
    state: Arc<State>,
    journal: Arc<Journal>,
    link: Arc<Link>,
    handle: Arc<Handle>,
    vault: Arc<NodeVault>,
    opener: Opener,
    gateway: Arc<Gateway>,
    pulse: Arc<Pulse>,
    budgets: mpsc::UnboundedReceiver<tidegate_types::OrganizationId>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Node {
    /// Starts a node. Waits for the control plane only when the node has no identity yet; whether
    /// it serves is told by [`RunningNode::is_ready`].
    ///
    /// # Errors
    /// [`NodeError`] when a part cannot be made. Nothing runs then.
    pub async fn start(settings: NodeSettings) -> Result<RunningNode, NodeError> {
        let (gateway_listener, gateway_address) = listen::bind(settings.gateway_listen).await?;
        let (metrics_listener, metrics_address) = listen::bind(settings.metrics_listen).await?;
        let made = make(&settings).await?;
        let drain_asked = CancellationToken::new();
        let running = RunningNode {
            node_id: made.identity.node_id,
            pool: made.identity.pool.clone(),
            gateway_address,
            metrics_address,
            gateway: Arc::clone(&made.gateway),
            journal: Arc::clone(&made.journal),
            limiter: settings.limiter.clone(),
            pulse: Arc::clone(&made.pulse),
            drain_asked: drain_asked.clone(),
            stop_accepting: CancellationToken::new(),
            stop: made.stop.clone(),
            connections: TaskTracker::new(),
            tasks: made.tasks.clone(),
        };
        running.listen(&settings, gateway_listener, metrics_listener);
        run_tasks(made, settings, gateway_address, drain_asked);
        Ok(running)
    }
}

async fn make(settings: &NodeSettings) -> Result<Made, NodeError> {
    let state = Arc::new(State::open(&settings.state)?);
    let clock = Arc::clone(&settings.clock);
    let identity = Arc::new(identify(&state, settings).await?);
    let mut journal = JournalSettings::new(state.path("journal"));
    journal.limit_bytes = settings.journal_limit_bytes.unwrap_or(journal.limit_bytes);
    // A small journal is cut into small segments, so that acknowledged ones can go.
    journal.segment_bytes = journal.segment_bytes.min(journal.limit_bytes / 16).max(64 * 1024);
    let opened = Arc::clone(&clock);
    let (journal, recovered) = blocking(move || Ok(Journal::open(&journal, opened)?)).await?;
    let journal = Arc::new(journal);
    for orphan in &recovered.orphans {
        settle_orphan(&settings.limiter, orphan);
    }
    let link = Arc::new(Link::new(identity.dial(&settings.control)?));
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let config = Arc::new(Config::new(&identity.pool));
    let vault = Arc::new(NodeVault::new(&identity.pool));
    let (told, budgets) = mpsc::unbounded_channel();
    let (kept_in, node, held) = (Arc::clone(&state), identity.node_id, Arc::clone(&config));
    let handle = blocking(move || {
        let (cache, kept, complete) = sync::Cache::open(Arc::clone(&kept_in), node)?;
        let keeper = Keeper::start(cache, kept_in).map_err(NodeError::io("start a thread"))?;
        Ok(Arc::new(Handle::new(held, kept, complete, keeper, told)))
    })
    .await?;
    for key in sync::kept_pool_keys(&state) {
        if let Err(error) = vault.unlock(&identity, &key) {
            tracing::warn!(%error, version = key.version, "the pool key on disk cannot be opened");
        }
    }
    let opener = Opener::new(
        settings.limiter.clone(),
        Arc::clone(&config),
        Arc::clone(&link),
        tasks.clone(),
        stop.clone(),
    );
    let ready = Arc::new(AtomicBool::new(false));
    let records = Arc::new(JournalRecords::new(Arc::clone(&journal)));
    let gateway = (settings.gateway)(Edges {
        config,
        records: Arc::clone(&records) as _,
        authority: Arc::new(opener.clone()),
        vault: Arc::clone(&vault) as _,
        ready: Arc::clone(&ready),
    });
    let pulse = Arc::new(Pulse::new(
        Arc::clone(&handle),
        Arc::clone(&journal),
        settings.limiter.clone(),
        Arc::clone(&vault),
        records,
        ready,
    ));
    Ok(Made { identity, state, journal, link, handle, vault, opener, gateway, pulse, budgets, stop, tasks })
}

async fn identify(state: &State, settings: &NodeSettings) -> Result<Identity, NodeError> {
    let held = Identity::load(state)?;
    let valid = held.filter(|identity| identity.not_after() > settings.clock.now());
    match (valid, &settings.join_token) {
        (Some(identity), _) => Ok(identity),
        (None, None) => Err(NodeError::NoJoinToken),
        (None, Some(token)) => {
            let about =
                identity::About { name: &settings.name, software_version: &settings.software_version };
            identity::enrol(state, &settings.control, token, about, &*settings.clock).await
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(NodeError::state("state folder", "reading it ended in a panic")))
}

/// An attempt whose process died keeps its hold, as unresolved.
fn settle_orphan(limiter: &Limiter, orphan: &BillingEvent) {
    let Ok(event) = tidegate_types::usage::BillingEvent::try_from(orphan) else {
        tracing::error!("an intent of an earlier start cannot be read; its hold ends at its deadline");
        return;
    };
    limiter.settle(Settlement {
        organization_id: event.organization_id,
        call_id: event.call_id,
        attempt: event.attempt,
        epoch: event.epoch,
        end: End::Unresolved,
        budgets: event
            .holds
            .iter()
            .map(|held| (held.budget_id, Window { start: held.window_start, end: held.window_end }))
            .collect(),
    });
}

fn run_tasks(
    made: Made,
    settings: NodeSettings,
    gateway_address: SocketAddr,
    drain_asked: CancellationToken,
) {
    let Made { identity, state, journal, link, handle, vault, opener, pulse, budgets, stop, tasks, .. } =
        made;
    let client = sync::Client {
        about: sync::About {
            software_version: settings.software_version,
            boot: journal.boot(),
            gateway_address: gateway_address.to_string(),
            heartbeat: settings.heartbeat,
        },
        identity: Arc::clone(&identity),
        handle,
        vault,
        pulse: Arc::clone(&pulse),
        link: Arc::clone(&link),
        drain_asked,
    };
    tasks.spawn(client.run(stop.clone()));
    tasks.spawn(ship::run(journal, Arc::clone(&link), stop.clone()));
    tasks.spawn(identity::keep_fresh(identity, state, settings.control, link, settings.clock, stop.clone()));
    tasks.spawn(prepare_epochs(opener, budgets, settings.limiter.clone(), stop.clone()));
    let gauges = Gauges::register(&settings.metrics);
    tasks.spawn(look(pulse, settings.limiter, gauges, stop));
}

/// Opens counters before the first call needs them: after changes of budgets, and after the
/// store has started anew.
async fn prepare_epochs(
    opener: Opener,
    mut budgets: mpsc::UnboundedReceiver<tidegate_types::OrganizationId>,
    limiter: Limiter,
    stop: CancellationToken,
) {
    let mut known = std::collections::BTreeSet::new();
    let mut run = limiter.store_run_id();
    let mut ticks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(organization) = budgets.recv() => {
                known.insert(organization);
                opener.prepare(organization);
            }
            _ = ticks.tick() => {
                let present = limiter.store_run_id();
                if present.is_some() && present != run {
                    run = present;
                    known.iter().for_each(|organization| opener.prepare(*organization));
                }
            }
        }
    }
}

async fn look(pulse: Arc<Pulse>, limiter: Limiter, gauges: Gauges, stop: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                pulse.judge();
                gauges.read(&pulse);
                limiter.set_live_nodes(pulse.handle.config.pool().live_nodes);
            }
        }
    }
}

impl RunningNode {
    fn listen(&self, settings: &NodeSettings, gateway: TcpListener, metrics: TcpListener) {
        self.tasks.spawn(listen::gateway(
            gateway,
            settings.gateway_tls.clone(),
            Arc::clone(&self.gateway),
            self.connections.clone(),
            self.stop_accepting.clone(),
        ));
        self.tasks.spawn(observe::serve(
            metrics,
            settings.metrics.clone(),
            Arc::clone(&self.pulse),
            self.tasks.clone(),
            self.stop.clone(),
        ));
    }

    /// The node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The node's pool.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn gateway_address(&self) -> SocketAddr {
        self.gateway_address
    }

    /// Where `/metrics`, `/livez`, `/readyz` are.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// Whether the node serves: complete configuration, keys can be checked, the journal takes
    /// records, not draining.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.pulse.judge()
    }

    /// What the node holds.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.pulse.handle.config
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Waits until the control plane asks this node to drain.
    pub async fn drain_asked(&self) {
        self.drain_asked.cancelled().await;
    }

    /// Ends the node: not ready, no new connections, running answers up to `drain_timeout`, then
    /// everything settled and shipped (30 s at most), then all tasks. What could not be shipped
    /// stays in the state folder for the next start.
    pub async fn drain(self, drain_timeout: Duration) {
        self.pulse.draining.store(true, Ordering::Release);
        self.pulse.judge();
        self.stop_accepting.cancel();
        self.gateway.drain(drain_timeout).await;
        self.connections.close();
        if timeout(Duration::from_secs(5), self.connections.wait()).await.is_err() {
            tracing::warn!("connections were still open at the end of the drain");
        }
        let settled = timeout(SHIP_AT_END, self.limiter.idle());
        let shipped = timeout(SHIP_AT_END, self.shipped());
        let (settled, shipped) = tokio::join!(settled, shipped);
        if settled.is_err() || shipped.is_err() {
            let left = self.journal.status().pending_records;
            tracing::warn!(left, "not everything was settled and shipped; the rest stays on disk");
        }
        self.end().await;
    }

    async fn shipped(&self) {
        while self.journal.status().pending_records > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let (handle, journal) = (Arc::clone(&self.pulse.handle), Arc::clone(&self.journal));
        let ended = tokio::task::spawn_blocking(move || {
            handle.stop_keeping();
            journal.close();
        });
        if ended.await.is_err() {
            tracing::error!("closing the state folder ended in a panic");
        }
    }
}
