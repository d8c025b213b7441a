//! HTTP clients that believe the roots which a file holds now: whoever keeps it (a kubelet, an operator) replaces it while
//! this process runs.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use reqwest::{Certificate, Client};

/// Makes a client of roots; none: the public ones.
type Build = fn(Option<Vec<Certificate>>) -> reqwest::Result<Client>;

/// A client, made anew when the file of its roots has changed.
pub(crate) struct Rooted {
    file: Option<PathBuf>,
    build: Build,
    held: Mutex<Held>,
}

/// What was read last, and what was made of the last that could be used.
struct Held {
    pem: Vec<u8>,
    client: Client,
}

impl Rooted {
    /// Reads the file, if there is one. `name`: what the configuration calls it.
    ///
    /// # Errors
    /// When it cannot be read, or holds no certificates.
    pub(crate) fn new(file: Option<&Path>, name: &str, build: Build) -> Result<Self> {
        let read =
            |file: &Path| std::fs::read(file).with_context(|| format!("read {name} {}", file.display()));
        let pem = file.map(read).transpose()?;
        let roots = pem.as_deref().map(Certificate::from_pem_bundle).transpose().context(name.to_owned())?;
        let client = build(roots).context("make an HTTP client")?;
        let held = Mutex::new(Held { pem: pem.unwrap_or_default(), client });
        Ok(Self { file: file.map(Path::to_owned), build, held })
    }

    /// The client that believes what the file holds now; where that cannot be used, the one before.
    pub(crate) fn client(&self) -> Client {
        let read = self.file.as_deref().and_then(|file| std::fs::read(file).ok());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pem) = read.filter(|pem| *pem != held.pem) {
            let roots = Certificate::from_pem_bundle(&pem).and_then(|roots| (self.build)(Some(roots)));
            match roots {
                Ok(client) => held.client = client,
                Err(error) => {
                    tracing::warn!(%error, "new roots in a ca_file cannot be used: those before stay");
                }
            }
            held.pem = pem;
        }
        held.client.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::sync::Arc;

    use tidegate_secrets::ca::{CertificateAuthority, roots_pem};
    use tidegate_telemetry::SystemClock;
    use tidegate_types::Clock as _;

    use super::*;

    /// A server with a certificate of this authority; its port.
    fn serve(authority: &CertificateAuthority) -> u16 {
        let identity = authority.issue_server(&["localhost".to_owned()], SystemClock.now()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .unwrap();
        let (listener, config) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(config));
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, socket.unwrap());
                if stream.read(&mut [0; 4096]).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        port
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn roots_that_are_replaced_are_believed_at_once_and_those_before_where_they_cannot_be_used() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authorities = [(), ()].map(|()| CertificateAuthority::generate(SystemClock.now()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        let keep = |authority: &CertificateAuthority| {
            std::fs::write(&file, roots_pem(std::iter::once(authority.root().as_ref()))).unwrap();
        };
        keep(&authorities[0]);
        let rooted = Rooted::new(Some(&file), "ca_file", |roots| {
            Client::builder().no_proxy().tls_certs_only(roots.unwrap_or_default()).build()
        });
        let rooted = rooted.unwrap();
        let url = format!("https://localhost:{}/", serve(&authorities[1]));
        let reached = async || rooted.client().get(&url).send().await.is_ok();
        assert!(!reached().await, "the positive control: nobody vouches for it");
        keep(&authorities[1]);
        assert!(reached().await);
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(reached().await, "what cannot be used is not");
        std::fs::remove_file(&file).unwrap();
        assert!(reached().await, "nor is what is gone");
    }
}
