//! What a listener of a node needs to be reached over TLS in a test.

use std::sync::Arc;

use tidegate_telemetry::SystemClock;
use tidegate_types::Clock;

use crate::control_plane::FakeControl;

impl FakeControl {
    /// A certificate for a listener on this host, and the roots that trust it.
    pub(crate) fn listener_tls(&self) -> (rustls::ServerConfig, rustls::ClientConfig) {
        let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let identity = self.shared.ca.issue_server(&["localhost".into()], SystemClock.now()).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.shared.ca.root().clone()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (server, client)
    }
}
