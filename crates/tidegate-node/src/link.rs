//! The connection to the control plane: gRPC over mutual TLS, one channel for all services.
//!
//! Dials lazily and again after a break. A renewed certificate means a new channel.

use std::time::Duration;

use arc_swap::ArcSwap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as TlsIdentity};

use crate::error::NodeError;

/// Where the control plane is and whom to trust.
#[derive(Clone)]
pub struct ControlPlane {
    /// `https://host:port` of its gRPC port.
    pub url: String,
    /// Name in its certificate when it is not the URL's host.
    pub server_name: Option<String>,
    /// Roots that its certificate descends from, PEM; after enrolment those it sent count as well.
    pub roots_pem: String,
}

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlPlane").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The channel of the present certificate.
#[derive(Debug)]
pub(crate) struct Link {
    channel: ArcSwap<Channel>,
}

impl Link {
    pub(crate) fn new(channel: Channel) -> Self {
        Self { channel: ArcSwap::from_pointee(channel) }
    }

    /// A handle for one more call.
    pub(crate) fn channel(&self) -> Channel {
        Channel::clone(&self.channel.load())
    }

    /// Calls from now on use this one.
    pub(crate) fn replace(&self, channel: Channel) {
        self.channel.store(channel.into());
    }
}

/// A channel that dials when it is first used; without `identity` it can only enrol.
pub(crate) fn dial(
    control: &ControlPlane,
    roots_pem: &str,
    identity: Option<(&str, &str)>,
) -> Result<Channel, NodeError> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots_pem));
    if let Some(name) = &control.server_name {
        tls = tls.domain_name(name);
    }
    if let Some((certificate_pem, key_pem)) = identity {
        tls = tls.identity(TlsIdentity::from_pem(certificate_pem, key_pem));
    }
    let endpoint = Endpoint::from_shared(control.url.clone())
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(|error| NodeError::setting("the control plane's address or roots", error))?;
    Ok(endpoint
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(15)))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .connect_lazy())
}
