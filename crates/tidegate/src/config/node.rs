//! A data-plane node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A node's listeners, state and control plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Node {
    /// The gateway.
    pub(crate) listen: SocketAddr,
    /// `/metrics`, `/livez`, `/readyz`.
    pub(crate) metrics_listen: SocketAddr,
    /// Journal, last-good records, identity. Survives restarts.
    pub(crate) state_dir: PathBuf,
    /// gRPC address of the control plane, for example `https://control:8443`.
    pub(crate) control_plane_url: Option<String>,
    /// Roots that the control plane's certificate descends from, a PEM file.
    pub(crate) trust_roots_file: Option<PathBuf>,
    /// Single-use token for the first start.
    pub(crate) join_token: Option<String>,
    /// File with it.
    pub(crate) join_token_file: Option<PathBuf>,
    /// Instead of a join token: file with the token of the pod's service account.
    pub(crate) service_account_token_file: Option<PathBuf>,
    /// The pool to join by it.
    pub(crate) pool: String,
    /// Name for people.
    pub(crate) name: Option<String>,
    /// Seconds for which a node that is told to end still takes calls, not ready: longer than balancers
    /// take to see it.
    pub(crate) drain_lead_seconds: u64,
    /// Longest time in seconds for running streams to finish at shutdown.
    pub(crate) drain_timeout_seconds: u64,
    /// Bytes of memory for answers that are kept to be given again; 0: none are kept.
    pub(crate) response_cache_bytes: usize,
    /// The largest of them; at most a quarter of all.
    pub(crate) response_cache_entry_bytes: usize,
    /// Most bytes of journal that wait for the control plane.
    pub(crate) journal_max_bytes: u64,
    /// Networks of the proxies in front: `x-forwarded-for` is believed from them.
    pub(crate) trusted_proxies: Vec<String>,
    /// TLS of the gateway; absent: plain HTTP.
    pub(crate) tls: Option<Tls>,
    /// The start of a node without a disk of its own while the control plane is away.
    pub(crate) copy: NodeCopy,
    /// Worker threads; absent: one per core.
    pub(crate) workers: Option<usize>,
}

/// Where a node without an identity finds a copy of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeCopy {
    /// The folder that control planes publish copies in; absent: nodes start by the control plane only.
    pub(crate) folder: Option<PathBuf>,
    /// The private class key, as text.
    pub(crate) key: Option<String>,
    /// A file with it, readable by its owner only.
    pub(crate) key_file: Option<PathBuf>,
    /// No older copy is taken.
    pub(crate) max_age_hours: u16,
}

impl Default for NodeCopy {
    fn default() -> Self {
        Self { folder: None, key: None, key_file: None, max_age_hours: 72 }
    }
}

/// A certificate and its key, PEM files.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::UNSPECIFIED, 8080).into(),
            metrics_listen: (Ipv4Addr::UNSPECIFIED, 9090).into(),
            state_dir: PathBuf::from("tidegate-node"),
            control_plane_url: None,
            trust_roots_file: None,
            join_token: None,
            join_token_file: None,
            service_account_token_file: None,
            pool: "default".to_owned(),
            name: None,
            drain_lead_seconds: 5,
            drain_timeout_seconds: 600,
            response_cache_bytes: 64 << 20,
            response_cache_entry_bytes: 1 << 20,
            journal_max_bytes: 8 << 30,
            trusted_proxies: Vec::new(),
            tls: None,
            copy: NodeCopy::default(),
            workers: None,
        }
    }
}
