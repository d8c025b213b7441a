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
    /// Most of a budget window's limit that one node may have in advance, in percent; 0: nothing.
    pub(crate) grant_percent: u8,
    /// Seconds for which every node of a pool must have run before counters are opened anew for what a
    /// dead process had in advance.
    pub(crate) reclaim_after_seconds: u64,
    /// Seconds for which each wave of a change of the shared catalogue is watched (one node, then a tenth, then all);
    /// 0: such changes go to all nodes at once.
    pub(crate) wave_seconds: u64,
    /// Seconds for which a control plane that is told to end still answers, not ready.
    pub(crate) drain_lead_seconds: u64,
    /// Copies of the configuration, by which nodes start while no control plane is there.
    pub(crate) copy: PublishedCopy,
    /// Nodes enrol by the token of their pod's service account; absent: by join tokens only.
    pub(crate) kubernetes: Option<Kubernetes>,
}

/// Where copies of the configuration are published, and for whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PublishedCopy {
    /// A folder on a volume that every control plane writes and nodes read; absent: none are published.
    pub(crate) folder: Option<PathBuf>,
    /// The public class key, as `tidegate keygen --class-key` prints it.
    pub(crate) class_key: Option<String>,
    /// Seconds between two looks whether something has changed.
    pub(crate) period_seconds: u64,
    /// Identities in each pool's copy for nodes that cannot enrol.
    pub(crate) reserves: usize,
}

impl Default for PublishedCopy {
    fn default() -> Self {
        Self { folder: None, class_key: None, period_seconds: 30, reserves: 8 }
    }
}

/// The cluster that says whose token it is, and who may join what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kubernetes {
    /// Its API server.
    pub(crate) api_url: String,
    /// Roots of its certificate, a PEM file; absent: the public ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// This control plane's own token, with the right to make token reviews.
    pub(crate) token_file: PathBuf,
    /// The audience that nodes' tokens are made for.
    pub(crate) audience: String,
    /// Whose pods may join which pool.
    pub(crate) allow: Vec<AllowedAccount>,
}

/// A service account whose pods may join a pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowedAccount {
    pub(crate) pool: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
}

const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            api_url: "https://kubernetes.default.svc".to_owned(),
            ca_file: Some(PathBuf::from(MOUNTED).join("ca.crt")),
            token_file: PathBuf::from(MOUNTED).join("token"),
            audience: "tidegate".to_owned(),
            allow: Vec::new(),
        }
    }
}

impl Default for ControlPlane {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8081).into(),
            grpc_listen: (Ipv4Addr::UNSPECIFIED, 8443).into(),
            metrics_listen: (Ipv4Addr::UNSPECIFIED, 9091).into(),
            public_url: None,
            grpc_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            grant_percent: 10,
            reclaim_after_seconds: 30,
            wave_seconds: 10,
            drain_lead_seconds: 0,
            kubernetes: None,
            copy: PublishedCopy::default(),
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
    /// Files with keys from before: they still open, until a rotation is done.
    pub(crate) previous_key_files: Vec<PathBuf>,
    /// A key from before, from the environment.
    pub(crate) previous_key: Option<String>,
    /// Vault's transit engine keeps the root keys, in place of a key of one's own.
    pub(crate) vault: Option<Vault>,
    /// Vault's transit engine kept them before.
    pub(crate) previous_vault: Option<Vault>,
    /// A key of AWS KMS keeps the root keys.
    pub(crate) kms: Option<Kms>,
    /// A key of AWS KMS kept them before.
    pub(crate) previous_kms: Option<Kms>,
}

/// A symmetric key of AWS KMS, reached at a start and at rotations only. Signed in to by a pair of keys, or by a
/// role that AWS gives for the token of a service account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kms {
    /// `eu-central-1` …
    pub(crate) region: String,
    /// Id, ARN or alias (`alias/…`) of the key.
    pub(crate) key: String,
    /// Where KMS is, in place of the region's own address.
    pub(crate) endpoint: Option<String>,
    /// Roots of its certificate, a PEM file; absent: the public ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// One of a pair of keys.
    pub(crate) access_key_id: Option<String>,
    /// File with the other one; it is read again whenever it is needed.
    pub(crate) secret_access_key_file: Option<PathBuf>,
    /// In their place, a role's ARN.
    pub(crate) role: Option<String>,
    /// The token that shows who asks for the role; where EKS puts it when absent.
    pub(crate) token_file: Option<PathBuf>,
    /// Where the role is asked for, in place of the region's own address.
    pub(crate) sts_endpoint: Option<String>,
}

/// A key of Vault's transit engine. Vault itself is reached at a start and at rotations only.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Vault {
    /// `https://host:port`.
    pub(crate) address: String,
    /// Where the engine is mounted.
    pub(crate) mount: Option<String>,
    /// The key's name.
    pub(crate) key: String,
    /// The namespace, where there are any.
    pub(crate) namespace: Option<String>,
    /// Roots of its certificate, a PEM file; absent: the public ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// File with a token; it is read again whenever one is needed.
    pub(crate) token_file: Option<PathBuf>,
    /// Sign in by the token of a Kubernetes service account instead: the role.
    pub(crate) kubernetes_role: Option<String>,
    /// Where that method is mounted; `kubernetes` when absent.
    pub(crate) kubernetes_mount: Option<String>,
    /// The service account's token; where Kubernetes puts it when absent.
    pub(crate) kubernetes_token_file: Option<PathBuf>,
}
