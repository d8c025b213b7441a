//! A node and its control plane, and resources to push.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate_limits::{Limiter, Timing};
use tidegate_node::{ControlPlane, Edges, Node, NodeError, NodeSettings, RunningNode};
use tidegate_proxy::{Gateway, Parts};
use tidegate_secrets::virtual_key;
use tidegate_telemetry::{Metrics, SystemClock, entropy};
use tidegate_types::resource::{
    AllowList, Budget, Enforcement, HoldMode, KeyLimits, KeySecret, KeyStatus, Organization, Resource, Scope,
    Team, VirtualKey,
};
use tidegate_types::window::{Every, WeekStart, WindowSpec};
use tidegate_types::{BudgetId, Clock, KeyId, NanoUsd, OrganizationId, Secret, TeamId, Timestamp};
use tidegate_upstream::Upstreams;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::control_plane::{FakeControl, JOIN_TOKEN};
use crate::support::PATIENCE;

/// Waits until `check` holds.
pub(crate) async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A clock that a scenario moves.
#[derive(Default)]
pub(crate) struct Moved(pub(crate) AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A tenant with one key.
pub(crate) struct Tenant {
    pub(crate) organization: OrganizationId,
    pub(crate) team: TeamId,
    pub(crate) key: KeyId,
}

impl Tenant {
    pub(crate) fn new() -> Self {
        let now = SystemClock.now();
        Self { organization: entropy::new_id(now), team: entropy::new_id(now), key: entropy::new_id(now) }
    }

    /// What all tenants share.
    pub(crate) fn system() -> Resource {
        Self { organization: OrganizationId::SYSTEM, ..Self::new() }.organization()
    }

    pub(crate) fn organization(&self) -> Resource {
        Resource::Organization(Organization {
            id: self.organization,
            slug: "acme".into(),
            name: "Acme".into(),
            time_zone: "UTC".into(),
            week_start: WeekStart::Monday,
            paused: false,
            max_staleness_seconds: None,
            label_key: [1; 32],
            limits: tidegate_types::resource::KeyLimits::default(),
            model_limits: Vec::new(),
            bound_issuers: Vec::new(),
            cache_purges: 0,
        })
    }

    pub(crate) fn team(&self) -> Resource {
        Resource::Team(Team {
            organization_id: self.organization,
            id: self.team,
            name: "core".into(),
            paused: false,
            limits: KeyLimits::default(),
        })
    }

    pub(crate) fn key(&self, status: KeyStatus) -> Resource {
        Resource::Key(VirtualKey {
            organization_id: self.organization,
            id: self.key,
            team_id: self.team,
            name: "app".into(),
            status,
            secrets: vec![KeySecret { pepper_version: 1, hmac: [3; 32], until: None }],
            expires_at: None,
            allow: AllowList::default(),
            limits: KeyLimits::default(),
            tags: Default::default(),
        })
    }

    pub(crate) fn budget(&self) -> Resource {
        Resource::Budget(Budget {
            organization_id: self.organization,
            id: BudgetId::from_u128(5),
            name: "month".into(),
            limit: NanoUsd::new(1_000_000_000),
            window: WindowSpec::Recurring { every: Every::Month },
            scope: Scope::default(),
            enforcement: Enforcement::Hard,
            mode: HoldMode::Strict,
            count_byok: false,
            alert_at_percent: Vec::new(),
            raises: Vec::new(),
            past: None,
        })
    }

    /// The key with a secret, and its text.
    pub(crate) fn issue(&self, control: &FakeControl) -> (Resource, Secret) {
        let (text, secret) = virtual_key::issue(self.key, [9; 32], &control.shared.pool.peppers);
        match self.key(KeyStatus::Active) {
            Resource::Key(key) => (Resource::Key(VirtualKey { secrets: vec![secret], ..key }), text),
            other => (other, text),
        }
    }

    /// Organization, team and key.
    pub(crate) fn publish(&self, control: &FakeControl) {
        for resource in [self.organization(), self.team(), self.key(KeyStatus::Active)] {
            control.shared.publish(&resource);
        }
    }

    /// Whether a node knows the key.
    pub(crate) fn is_known_to(&self, node: &RunningNode) -> bool {
        node.config().view(self.key).is_some()
    }
}

/// Settings of a node of `control` in `state`.
pub(crate) fn settings(control: &FakeControl, state: &Path) -> NodeSettings {
    settings_with_clock(control, state, Arc::new(SystemClock))
}

pub(crate) fn settings_with_clock(
    control: &FakeControl,
    state: &Path,
    clock: Arc<dyn Clock>,
) -> NodeSettings {
    settings_by(control.address.port(), control.roots(), state, clock)
}

/// The same, of what can be told to another process.
pub(crate) fn settings_by(
    control: u16,
    roots_pem: String,
    state: &Path,
    clock: Arc<dyn Clock>,
) -> NodeSettings {
    let limiter = Limiter::memory("run-1".into(), clock.clone(), Timing::default());
    NodeSettings {
        state: state.to_owned(),
        name: "test".into(),
        software_version: "0".into(),
        control: ControlPlane { url: format!("https://localhost:{control}"), server_name: None, roots_pem },
        join_token: Some(Secret::new(JOIN_TOKEN)),
        service_account: None,
        copy: None,
        gateway_listen: "127.0.0.1:0".parse().unwrap(),
        gateway_tls: None,
        metrics_listen: "127.0.0.1:0".parse().unwrap(),
        limiter: limiter.clone(),
        gateway: Box::new(gateway(limiter, clock.clone())),
        clock,
        metrics: Metrics::default(),
        journal_limit_bytes: None,
        trial: tidegate_node::TRIAL,
        ship_at_end: tidegate_node::SHIP_AT_END,
        probe: tidegate_node::Probe::default(),
    }
}

fn gateway(limiter: Limiter, clock: Arc<dyn Clock>) -> impl Fn(Edges) -> Arc<Gateway> {
    move |edges| {
        Gateway::new(Parts {
            settings: tidegate_proxy::Settings::default(),
            config: edges.config,
            limiter: limiter.clone(),
            upstreams: Upstreams::new(&tidegate_upstream::Settings::default()).unwrap(),
            records: edges.records,
            authority: edges.authority,
            questions: edges.questions,
            vault: edges.vault,
            clock: clock.clone(),
            entropy: entropy::random_u128,
            metrics: Metrics::default(),
            ready: edges.ready,
        })
    }
}

pub(crate) async fn start(control: &FakeControl, state: &Path) -> Result<RunningNode, NodeError> {
    Node::start(settings(control, state)).await
}

/// Starts a node and waits until it serves.
pub(crate) async fn start_ready(control: &FakeControl, state: &Path) -> RunningNode {
    let node = start(control, state).await.unwrap();
    until("the node is ready", || node.is_ready()).await;
    node
}

/// Ends a node in order.
pub(crate) async fn end(node: RunningNode) {
    node.drain(Duration::from_millis(100)).await;
}

/// The state folder as `kill -9` would leave it now.
pub(crate) fn copy_of(folder: &Path) -> TempDir {
    loop {
        let (copy, before) = (TempDir::new().unwrap(), names(folder));
        // A file that goes while it is copied, or right after: not a state that ever was.
        if copy_into(folder, copy.path()).is_ok() && names(folder) == before {
            return copy;
        }
    }
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut names(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

fn copy_into(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy_into(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// The logs of the last good configuration, longest first.
pub(crate) fn config_logs(state: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<_> = std::fs::read_dir(state.join("config"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort_by_key(|path| std::cmp::Reverse(std::fs::metadata(path).unwrap().len()));
    logs
}

/// `GET path` on the metrics port: status and whole answer.
pub(crate) async fn get(node: &RunningNode, path: &str) -> (u16, String) {
    get_from(node.metrics_address(), path).await
}

/// `GET path` on any port.
pub(crate) async fn get_from(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    exchange(tokio::net::TcpStream::connect(address).await.unwrap(), &request).await
}

/// An address that nobody listens on, nor gets from the system, as long as this test runs.
pub(crate) fn free_address() -> SocketAddr {
    (std::net::Ipv4Addr::LOCALHOST, tidegate_testkit::port::free().unwrap()).into()
}

/// Sends a request that closes the connection, and reads the answer.
pub(crate) async fn exchange(mut io: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> (u16, String) {
    io.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The other side may close without TLS's own farewell.
    let _ = io.read_to_string(&mut answer).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}
