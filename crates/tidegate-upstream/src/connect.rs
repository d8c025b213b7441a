//! A connection to a vetted address: resolve, vet every address, connect, TLS, HTTP handshake.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tidegate_types::OrganizationId;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::endpoint::Endpoint;
use crate::failure::{SendError, SettingsError};
use crate::h1::H1;
use crate::pool::{Connection, H2, Tracked};
use crate::private::{PrivateTarget, Wish, is_usual_port, listed, permits};
use crate::proxy::{EgressProxy, Remote, authority};
use crate::resolve::Resolver;
use crate::stream::Stream;

/// How Tidegate calls out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Private targets that may be called.
    pub private: Vec<PrivateTarget>,
    /// Certificates (PEM) trusted beside the operating system's.
    pub extra_ca: Option<Vec<u8>>,
    /// The proxy through which public targets are reached.
    pub proxy: Option<EgressProxy>,
    /// Longest time for name look-up, connection and TLS together.
    pub connect_timeout: Duration,
    /// Longest time that an unused connection is kept.
    pub idle_timeout: Duration,
    /// Most unused connections kept for one base URL.
    pub max_idle: usize,
    /// Names to addresses.
    pub resolver: Resolver,
    /// Owns the tasks of HTTP/2 connections.
    pub tasks: TaskTracker,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            private: Vec::new(),
            extra_ca: None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            // Under the keep-alive time of the usual load balancers (60 s and more).
            idle_timeout: Duration::from_secs(30),
            max_idle: 512,
            resolver: Resolver::system(),
            tasks: TaskTracker::new(),
        }
    }
}

/// Makes connections.
pub(crate) struct Connector {
    private: Vec<PrivateTarget>,
    resolver: Resolver,
    proxy: Option<EgressProxy>,
    timeout: Duration,
    tls: TlsConnector,
    tasks: TaskTracker,
}

/// How long our own resolver is waited for where the proxy can resolve as well.
const HASTE: Duration = Duration::from_secs(1);
/// Largest head of an answer in HTTP/2.
const MAX_HEAD: usize = 64 * 1024;

impl Connector {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            private: settings.private.clone(),
            resolver: settings.resolver.clone(),
            proxy: settings.proxy.clone(),
            timeout: settings.connect_timeout,
            tls: TlsConnector::from(Arc::new(tls_config(settings.extra_ca.as_deref())?)),
            tasks: settings.tasks.clone(),
        })
    }

    /// Whether `owner`'s base URL may lead there.
    pub(crate) fn permits(&self, endpoint: &Endpoint, remote: Remote, owner: OrganizationId) -> bool {
        match remote {
            Remote::At(address) => permits(&self.private, address, wish(endpoint, owner)),
            Remote::Named => self.may_name(endpoint, owner).is_some(),
        }
    }

    /// The proxy, where it may be asked for this target by name: a host that no organization chose.
    fn may_name(&self, endpoint: &Endpoint, owner: OrganizationId) -> Option<&EgressProxy> {
        let by_name = endpoint.https && endpoint.literal.is_none() && is_usual_port(endpoint.port);
        self.proxy.as_ref().filter(|proxy| proxy.resolves && by_name && owner == OrganizationId::SYSTEM)
    }

    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        owner: OrganizationId,
    ) -> Result<Connection, SendError> {
        match tokio::time::timeout(self.timeout, self.establish(endpoint, owner)).await {
            Ok(connected) => connected,
            Err(_) => Err(SendError::ConnectTimeout),
        }
    }

    async fn establish(&self, endpoint: &Endpoint, owner: OrganizationId) -> Result<Connection, SendError> {
        let (tcp, remote) = self.reach(endpoint, owner).await?;
        let _ = tcp.set_nodelay(true);
        if !endpoint.https {
            return Ok(h1(Stream::Plain(tcp), remote));
        }
        let name = match endpoint.literal {
            Some(address) => ServerName::IpAddress(address.into()),
            None => ServerName::try_from(endpoint.host.to_string()).map_err(|_| SendError::Tls)?,
        };
        let tls = self.tls.connect(name, tcp).await.map_err(|_| SendError::Tls)?;
        let is_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = Stream::Tls(Box::new(tls));
        if is_h2 { h2(stream, remote, &self.tasks).await } else { Ok(h1(stream, remote)) }
    }

    /// A connection to a vetted address, through the proxy unless the operator lists the target as private.
    async fn reach(
        &self,
        endpoint: &Endpoint,
        owner: OrganizationId,
    ) -> Result<(TcpStream, Remote), SendError> {
        let by_name = self.may_name(endpoint, owner);
        let addresses = match (self.addresses(endpoint, by_name.is_some()).await, by_name) {
            (Ok(addresses), _) => addresses,
            (Err(_), Some(proxy)) => return self.tunnel_to_name(proxy, endpoint).await,
            (Err(error), None) => return Err(error),
        };
        // One bad address condemns the name: an attacker's answer may mix good and bad ones.
        if !addresses.iter().all(|address| self.permits(endpoint, Remote::At(*address), owner)) {
            return Err(SendError::Forbidden);
        }
        let first = addresses.first().ok_or(SendError::Dns)?;
        let own = |address: &IpAddr| listed(&self.private, *address, wish(endpoint, owner));
        match (&self.proxy, by_name) {
            (Some(_), _) if addresses.iter().all(own) => {}
            (_, Some(proxy)) => return self.tunnel_to_name(proxy, endpoint).await,
            (Some(proxy), None) => {
                let tcp = self.tunnel(proxy, &authority(*first), endpoint.port).await?;
                return Ok((tcp, Remote::At(*first)));
            }
            (None, None) => {}
        }
        let tcp = self.dial(&addresses, endpoint.port).await?;
        let remote = tcp.peer_addr().map_err(|_| SendError::Connect)?.ip();
        Ok((tcp, Remote::At(remote)))
    }

    /// The addresses behind the host, one at least. Where the proxy can resolve it, ours is not waited for long.
    async fn addresses(&self, endpoint: &Endpoint, in_haste: bool) -> Result<Vec<IpAddr>, SendError> {
        if let Some(address) = endpoint.literal {
            return Ok(vec![address]);
        }
        let patience = if in_haste { HASTE } else { self.timeout };
        let answer = tokio::time::timeout(patience, self.resolver.addresses(endpoint.host.clone())).await;
        answer.ok().and_then(Result::ok).filter(|found| !found.is_empty()).ok_or(SendError::Dns)
    }

    async fn tunnel_to_name(
        &self,
        proxy: &EgressProxy,
        endpoint: &Endpoint,
    ) -> Result<(TcpStream, Remote), SendError> {
        Ok((self.tunnel(proxy, &endpoint.host, endpoint.port).await?, Remote::Named))
    }

    /// A tunnel of the proxy, whose own address is the operator's word.
    async fn tunnel(&self, proxy: &EgressProxy, target: &str, port: u16) -> Result<TcpStream, SendError> {
        let addresses = self.resolver.addresses(proxy.host.clone()).await.map_err(|_| SendError::Dns)?;
        let tcp = self.dial(&addresses, proxy.port).await?;
        proxy.tunnel(tcp, target, port).await
    }

    /// The first address that answers; each gets its share of the time.
    async fn dial(&self, addresses: &[IpAddr], port: u16) -> Result<TcpStream, SendError> {
        let share = self.timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            let dial = TcpStream::connect(SocketAddr::new(*address, port));
            if let Ok(Ok(tcp)) = tokio::time::timeout(share, dial).await {
                return Ok(tcp);
            }
        }
        Err(SendError::Connect)
    }
}

fn wish(endpoint: &Endpoint, owner: OrganizationId) -> Wish {
    Wish { owner, port: endpoint.port, https: endpoint.https }
}

fn h1(stream: Stream, remote: Remote) -> Connection {
    Connection::H1(Box::new(H1::new(stream, remote)))
}

async fn h2(stream: Stream, remote: Remote, tasks: &TaskTracker) -> Result<Connection, SendError> {
    let (sender, connection) = http2::Builder::new(Tracked(tasks.clone()))
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .adaptive_window(true)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| SendError::Connect)?;
    Ok(Connection::H2(H2::start(sender, connection, remote, tasks)))
}

fn tls_config(extra_ca: Option<&[u8]>) -> Result<ClientConfig, SettingsError> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // A root that the library cannot read is one that nobody can be trusted by.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(pem) = extra_ca {
        let extra: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| SettingsError::ExtraCa)?;
        if extra.is_empty() {
            return Err(SettingsError::ExtraCa);
        }
        for certificate in extra {
            roots.add(certificate).map_err(|_| SettingsError::ExtraCa)?;
        }
    }
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
