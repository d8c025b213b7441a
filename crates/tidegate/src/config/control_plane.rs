//! The control plane's listeners and its key-encryption key.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Listeners of the control plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ControlPlane {
    /// Management API.
    pub(crate) listen: SocketAddr,
    /// gRPC for nodes, mTLS.
    pub(crate) grpc_listen: SocketAddr,
    /// Metrics.
    pub(crate) metrics_listen: SocketAddr,
    /// How people reach the management API, for sign-in links.
    pub(crate) public_url: Option<String>,
    /// Names and addresses that nodes dial; they go into the gRPC certificate.
    pub(crate) grpc_names: Vec<String>,
}

impl Default for ControlPlane {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8081).into(),
            grpc_listen: (Ipv4Addr::UNSPECIFIED, 8443).into(),
            metrics_listen: (Ipv4Addr::UNSPECIFIED, 9091).into(),
            public_url: None,
            grpc_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        }
    }
}

/// The key-encryption key, as `tidegate keygen` makes it. Everything else (peppers, data keys, pool
/// keys, the certificate authority) is made at the first start and stored wrapped under it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Encryption {
    /// The key itself (from the environment).
    pub(crate) key: Option<String>,
    /// File with the key, readable by its owner only.
    pub(crate) key_file: Option<PathBuf>,
}
