//! What a node is made of, and what it lends to the request's path.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tidegate_limits::Limiter;
use tidegate_policy::Config;
use tidegate_proto::config::{Delta, VersionedResource};
use tidegate_proxy::{Authority, Gateway, Questions, Records, Vault};
use tidegate_telemetry::Metrics;
use tidegate_types::{Clock, Secret};

use crate::certificate::GatewayTls;
use crate::copy::CopySource;
use crate::identity::Enrolling;
use crate::link::ControlPlane;

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
    /// Instead of a join token: the pod's service account.
    pub service_account: Option<ServiceAccount>,
    /// Where a node without an identity finds a copy of the configuration while the control plane is away.
    pub copy: Option<CopySource>,
    /// The gateway's address.
    pub gateway_listen: SocketAddr,
    /// TLS for it.
    pub gateway_tls: Option<GatewayTls>,
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
    /// How long the node must serve well with what it applied, before that counts as good: [`TRIAL`].
    pub trial: Duration,
    /// How long the node waits at its end for what is left to be settled and shipped: [`SHIP_AT_END`].
    pub ship_at_end: Duration,
    /// Sees what is about to be applied.
    pub probe: Probe,
}

/// For how long configuration is on trial.
pub const TRIAL: Duration = Duration::from_secs(30);
/// What is left of the journal gets this long at the end.
pub const SHIP_AT_END: Duration = Duration::from_secs(30);

/// Something that is about to be applied.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// One resource, before it is read.
    Resource(&'a VersionedResource),
    /// A part of a delta of which every resource was read.
    Part(&'a Delta),
}

/// Sees what is about to be applied: tests plant faults there. No executable sets one.
#[derive(Clone, Default)]
pub struct Probe(pub Option<Arc<See>>);

/// What a probe does with what it sees.
pub type See = dyn Fn(Seen<'_>) + Send + Sync;

impl Probe {
    pub(crate) fn see(&self, seen: Seen<'_>) {
        if let Some(probe) = &self.0 {
            probe(seen);
        }
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Probe")
    }
}

impl NodeSettings {
    pub(crate) fn enrolling(&self) -> Enrolling {
        Enrolling {
            control: self.control.clone(),
            join_token: self.join_token.clone(),
            service_account: self.service_account.clone(),
            name: self.name.clone(),
            software_version: self.software_version.clone(),
        }
    }
}

/// How a node in a Kubernetes pod shows who it is.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// File with the projected token; read anew for every try, since it is rotated.
    pub token_file: PathBuf,
    /// The pool to join.
    pub pool: String,
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
    /// The way to ask the control plane.
    pub questions: Arc<dyn Questions>,
    /// Whether the node serves.
    pub ready: Arc<AtomicBool>,
}

impl std::fmt::Debug for Edges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Edges")
    }
}
