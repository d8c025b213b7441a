//! What a listener of a node needs to be reached over TLS in a test.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use tidegate_node::CertificateFiles;
use tidegate_secrets::pem;
use tidegate_telemetry::SystemClock;
use tidegate_types::{Clock, Timestamp};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::control_plane::FakeControl;

/// A certificate for a listener on this host.
pub(crate) struct ListenerCertificate {
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl ListenerCertificate {
    /// Writes both files into a folder.
    pub(crate) fn write(&self, folder: &Path) -> CertificateFiles {
        let files = CertificateFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
        std::fs::write(&files.certificate, &self.certificate).unwrap();
        std::fs::write(&files.key, &self.key).unwrap();
        files
    }
}

impl FakeControl {
    pub(crate) fn listener_certificate(&self) -> ListenerCertificate {
        self.listener_certificate_of(SystemClock.now())
    }

    /// The same, issued at another time.
    pub(crate) fn listener_certificate_of(&self, at: Timestamp) -> ListenerCertificate {
        let identity = self.shared.ca.issue_server(&["localhost".into()], at).unwrap();
        let certificate = identity.chain.iter().map(|one| pem::certificate(one)).collect();
        let key = pem::private_key(identity.key.secret_der()).expose().to_owned();
        ListenerCertificate { leaf: identity.chain[0].clone(), certificate, key }
    }

    /// Connects to a listener as somebody who trusts such certificates.
    pub(crate) async fn connect(&self, to: std::net::SocketAddr) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.shared.ca.root().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(to).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, socket).await.unwrap()
    }
}
