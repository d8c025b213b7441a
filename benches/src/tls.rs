//! One certificate for everybody who is measured over TLS, and the client that trusts it alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// What servers show, and how they are spoken to.
pub(crate) struct Tls {
    /// PEM: ECDSA P-256, signed by itself.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) connector: TlsConnector,
}

/// Everybody is on this machine.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([127, 0, 0, 1])))
}

/// Makes the certificate. Sessions are never resumed: each handshake is a whole one.
pub(crate) fn make(folder: &Path) -> Result<Tls> {
    let key = KeyPair::generate().context("make a key")?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .and_then(|params| params.self_signed(&key))
        .context("sign a certificate")?;
    let files = (folder.join("gateway.pem"), folder.join("gateway.key"));
    std::fs::write(&files.0, certificate.pem())?;
    std::fs::write(&files.1, key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).context("trust the certificate")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Tls { certificate: files.0, key: files.1, connector: TlsConnector::from(Arc::new(config)) })
}
