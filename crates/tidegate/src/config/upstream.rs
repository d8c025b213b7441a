//! What nodes may call besides public https addresses. Never set through the API.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Outbound connections.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Upstream {
    /// Private, loopback or plain-http targets that are allowed.
    pub(crate) private: Vec<PrivateTarget>,
    /// Further trust roots, a PEM file.
    pub(crate) extra_ca_file: Option<PathBuf>,
    /// `http://[user:password@]host:port`: the proxy through which public targets are reached.
    pub(crate) proxy: Option<String>,
    /// Whether the proxy resolves the names of the catalogue's hosts, which this machine may not be able to.
    pub(crate) proxy_resolves: bool,
    /// Where Google's service accounts get access tokens; absent: Google's own address.
    pub(crate) google_token_url: Option<String>,
}

/// A network that may be called although it is not public.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrivateTarget {
    /// The network, for example `10.0.3.0/24`.
    pub(crate) cidr: String,
    /// Ports; empty: 443 only.
    #[serde(default)]
    pub(crate) ports: Vec<u16>,
    /// Plain http is allowed there.
    #[serde(default)]
    pub(crate) http: bool,
    /// Organizations whose providers, webhooks, exporters and issuers may point there; `*`: every one; empty: only the system's.
    #[serde(default)]
    pub(crate) organizations: Vec<String>,
}
