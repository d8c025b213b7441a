//! Puts a node together, in the order in which its parts need each other. `running.rs` takes it apart.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use tidegate_limits::Process;
use tidegate_policy::Config;
use tidegate_proxy::Gateway;
use tidegate_types::NodeId;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aftermath::{self, Aftermath};
use crate::ask::Asker;
use crate::certificate::GatewayTls;
use crate::copy::{self, Beginning, Begun};
use crate::error::NodeError;
use crate::grants::GrantAsker;
use crate::identity::{self, Identity};
use crate::journal::{Journal, JournalSettings, Recovered};
use crate::link::Link;
use crate::notary::Notary;
use crate::observe::Gauges;
use crate::opener::Opener;
use crate::outage::Outage;
use crate::pulse::Pulse;
use crate::records::JournalRecords;
use crate::revocations::Revocations;
use crate::running::RunningNode;
use crate::settings::{Edges, NodeSettings};
use crate::state::State;
use crate::sync::{self, Handle, Told};
use crate::vault::NodeVault;
use crate::wanted::WantedKeys;
use crate::{listen, observe, ship, whole};

/// How a node starts.
#[derive(Debug)]
pub struct Node;

/// What has been made before tasks start.
struct Made {
    identity: Arc<Identity>,
    state: Arc<State>,
    journal: Arc<Journal>,
    link: Arc<Link>,
    handle: Arc<Handle>,
    vault: Arc<NodeVault>,
    opener: Opener,
    aftermath: Aftermath,
    gateway: Arc<Gateway>,
    pulse: Arc<Pulse>,
    told: Told,
    revocations: Revocations,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Node {
    /// Starts a node. Waits for the control plane only when the node has no identity yet (`/livez`
    /// answers meanwhile, `/readyz` says no); whether it serves is told by
    /// [`RunningNode::is_ready`]. Dropping the future ends what has begun.
    ///
    /// # Errors
    /// [`NodeError`] when a part cannot be made. Nothing runs then.
    pub async fn start(settings: NodeSettings) -> Result<RunningNode, NodeError> {
        let (gateway_listener, gateway_address) = listen::bind(settings.gateway_listen).await?;
        let (metrics_listener, metrics_address) = listen::bind(settings.metrics_listen).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let unfinished = stop.clone().drop_guard();
        let pulse = Arc::new(OnceLock::new());
        tasks.spawn(observe::serve(
            metrics_listener,
            settings.metrics.clone(),
            Arc::clone(&pulse),
            tasks.clone(),
            stop.clone(),
        ));
        let made = match make(&settings, &stop, &tasks).await {
            Ok(made) => made,
            Err(error) => {
                stop.cancel();
                tasks.close();
                tasks.wait().await;
                return Err(error);
            }
        };
        let drain_asked = CancellationToken::new();
        let running = RunningNode {
            node_id: made.identity.node_id,
            pool: made.identity.pool.clone(),
            gateway_address,
            metrics_address,
            gateway: Arc::clone(&made.gateway),
            journal: Arc::clone(&made.journal),
            link: Arc::clone(&made.link),
            limiter: settings.limiter.clone(),
            pulse: Arc::clone(&made.pulse),
            drain_asked: drain_asked.clone(),
            stop_accepting: CancellationToken::new(),
            stop: unfinished.disarm(),
            connections: TaskTracker::new(),
            tasks,
            ship_at_end: settings.ship_at_end,
        };
        serve(&running, &settings, gateway_listener);
        run_tasks(made, settings, gateway_address, drain_asked);
        // Who asks whether it is ready finds all that it measures.
        pulse.get_or_init(|| Arc::clone(&running.pulse));
        Ok(running)
    }
}

async fn make(
    settings: &NodeSettings,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Made, NodeError> {
    let (stop, tasks) = (stop.clone(), tasks.clone());
    let state = Arc::new(State::open(&settings.state)?);
    let identity = Arc::new(identify(settings, &state).await?);
    let (journal, recovered) = open_journal(settings, &state, identity.node_id).await?;
    settings.limiter.place_as(Process { node_id: identity.node_id, boot: journal.boot() });
    let whole_since = whole::since(&state, journal.boot(), recovered.gaps, whole::place(&state).as_deref())?;
    let link = Arc::new(Link::new(identity.dial(&settings.control)?));
    let (config, vault) = (Arc::new(Config::new(&identity.pool)), Arc::new(NodeVault::new(&identity.pool)));
    let (tells, told) = sync::told();
    let begin = begin(settings, &config, &state, identity.node_id, tells);
    let handle = Arc::new(blocking(move || Handle::start(begin)).await?);
    let revocations = revocations(settings, &config, &state, identity.node_id);
    unlock(&vault, &identity, &state);
    let opener = Opener::new(
        settings.limiter.clone(),
        Arc::clone(&config),
        Arc::clone(&link),
        tasks.clone(),
        stop.clone(),
    );
    let aftermath = Aftermath {
        limiter: settings.limiter.clone(),
        config: Arc::clone(&config),
        link: Arc::clone(&link),
        handle: Arc::clone(&handle),
        journal: Arc::clone(&journal),
        node_id: identity.node_id,
        with_budgets: opener.with_budgets(),
        ended: aftermath::ends(&recovered),
        whole_since,
    };
    aftermath.tell_again();
    let (ready, wanted) = (Arc::new(AtomicBool::new(false)), Arc::new(WantedKeys::default()));
    let records = Arc::new(JournalRecords::new(Arc::clone(&journal)));
    let gateway = (settings.gateway)(Edges {
        config,
        records: Arc::clone(&records) as _,
        authority: Arc::new(opener.clone()),
        vault: Arc::clone(&vault) as _,
        questions: Arc::new(Asker::new(Arc::clone(&link), Arc::clone(&wanted))),
        ready: Arc::clone(&ready),
    });
    let pulse = Arc::new(Pulse::new(
        Arc::clone(&handle),
        Arc::clone(&journal),
        settings.limiter.clone(),
        Arc::clone(&vault),
        records,
        ready,
        wanted,
    ));
    Ok(Made {
        identity,
        state,
        journal,
        link,
        handle,
        vault,
        opener,
        aftermath,
        gateway,
        pulse,
        told,
        revocations,
        stop,
        tasks,
    })
}

fn begin(
    settings: &NodeSettings,
    config: &Arc<Config>,
    state: &Arc<State>,
    node: NodeId,
    tells: sync::Tells,
) -> sync::Begin {
    sync::Begin {
        config: Arc::clone(config),
        state: Arc::clone(state),
        node,
        clock: Arc::clone(&settings.clock),
        tells,
        release: settings.software_version.clone(),
        trial: settings.trial,
        probe: settings.probe.clone(),
    }
}

/// Who the node is; where it has no identity yet, and a copy is set up, possibly by that.
async fn identify(settings: &NodeSettings, state: &Arc<State>) -> Result<Identity, NodeError> {
    let NodeSettings { copy, control, limiter, clock, .. } = settings;
    let begin = |source| Beginning::new(source, &control.roots_pem, limiter, state, clock).map(Arc::new);
    let beginning = copy.as_ref().map(begin).transpose()?;
    identity::obtain(state, &settings.enrolling(), beginning.as_ref(), &**clock).await
}

fn revocations(
    settings: &NodeSettings,
    config: &Arc<Config>,
    state: &Arc<State>,
    node: NodeId,
) -> Revocations {
    let must_hear = copy::is_unheard(state, node);
    Revocations::start(Arc::clone(config), settings.limiter.clone(), Arc::clone(state), must_hear)
}

async fn open_journal(
    settings: &NodeSettings,
    state: &State,
    node_id: NodeId,
) -> Result<(Arc<Journal>, Recovered), NodeError> {
    let mut journal = JournalSettings::new(state.path("journal"));
    journal.owner = node_id.to_u128();
    journal.limit_bytes = settings.journal_limit_bytes.unwrap_or(journal.limit_bytes);
    // A small journal is cut into small segments, so that acknowledged ones can go.
    journal.segment_bytes = journal.segment_bytes.min(journal.limit_bytes / 16).max(64 * 1024);
    let clock = Arc::clone(&settings.clock);
    let (journal, recovered) = blocking(move || Ok(Journal::open(&journal, clock)?)).await?;
    Ok((Arc::new(journal), recovered))
}

/// Opens the pool keys that are kept on disk.
fn unlock(vault: &NodeVault, identity: &Identity, state: &State) {
    for key in sync::kept_pool_keys(state) {
        if let Err(error) = vault.unlock(identity, &key) {
            tracing::warn!(%error, version = key.version, "the pool key on disk cannot be opened");
        }
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(NodeError::state("state folder", "reading it ended in a panic")))
}

fn serve(running: &RunningNode, settings: &NodeSettings, gateway: TcpListener) {
    running.tasks.spawn(listen::gateway(
        gateway,
        settings.gateway_tls.as_ref().map(GatewayTls::server),
        Arc::clone(&running.gateway),
        running.connections.clone(),
        running.stop_accepting.clone(),
    ));
}

/// What a node has to do with copies while it runs; where it is told of the newest.
fn run_copies(
    settings: &NodeSettings,
    identity: &Identity,
    state: &State,
    pulse: &Arc<Pulse>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> watch::Sender<i64> {
    let (copies, newest) = watch::channel(0);
    let (limiter, clock) = (settings.limiter.clone(), Arc::clone(&settings.clock));
    tasks.spawn(copy::tell_others(limiter, identity.pool.clone(), newest, clock, stop.clone()));
    if let Some(begun) = Begun::read(state).filter(|begun| begun.node == Some(identity.node_id)) {
        let limiter = settings.limiter.clone();
        tasks.spawn(copy::keep_claim(limiter, begun, Arc::clone(pulse), stop.clone()));
    }
    copies
}

fn run_tasks(
    made: Made,
    settings: NodeSettings,
    gateway_address: SocketAddr,
    drain_asked: CancellationToken,
) {
    let Made {
        identity,
        state,
        journal,
        link,
        handle,
        vault,
        opener,
        aftermath,
        gateway,
        pulse,
        told,
        revocations,
        stop,
        tasks,
    } = made;
    let gauges = Gauges::register(&settings.metrics);
    let unheard = gauges.unheard.clone();
    tasks.spawn(revocations.share(told.revoked, Arc::clone(&pulse), unheard, stop.clone()));
    let copies = run_copies(&settings, &identity, &state, &pulse, &tasks, &stop);
    let client = sync::Client {
        about: sync::About {
            software_version: settings.software_version,
            boot: journal.boot(),
            gateway_address: gateway_address.to_string(),
        },
        identity: Arc::clone(&identity),
        handle,
        vault,
        pulse: Arc::clone(&pulse),
        link: Arc::clone(&link),
        drain_asked,
        gateway,
        tasks: tasks.clone(),
        outage: Outage::default(),
        copies,
    };
    let grants =
        GrantAsker { limiter: settings.limiter.clone(), link: Arc::clone(&link), boot: journal.boot() };
    tasks.spawn(grants.run(stop.clone()));
    tasks.spawn(client.run(stop.clone()));
    let clock = Arc::clone(&settings.clock);
    let notary = Arc::new(Notary::new(Arc::clone(&identity), journal.boot(), Arc::clone(&clock)));
    tasks.spawn(ship::run(journal, Arc::clone(&link), Arc::clone(&notary), stop.clone()));
    let (control, ends) = (settings.control, gauges.identity.clone());
    let renewing = identity::Renewing { state, control, link, notary, clock, ends };
    tasks.spawn(identity::keep_fresh(renewing, identity, stop.clone()));
    tasks.spawn(aftermath.run(stop.clone()));
    tasks.spawn(opener.prepare_all(told.budgets, stop.clone()));
    if let Some(tls) = settings.gateway_tls {
        tasks.spawn(tls.watch(gauges.certificate.clone(), stop.clone()));
    }
    tasks.spawn(observe::look(pulse, settings.limiter, settings.clock, gauges, stop));
}
