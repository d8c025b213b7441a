//! The gateway's own certificate: read at the start, and again whenever its files have changed.
//!
//! Whoever keeps the files (cert-manager, a kubelet, an ACME client) replaces them long before the old certificate ends, as a
//! rule one after the other. What cannot be used is not taken, nor is one whose time is over or has not come while the one
//! before it is good: that one stays, and the files are looked at again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;
use tidegate_types::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::error::NodeError;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(5);

const CERTIFICATE: &str = "node.tls.certificate_file";
const KEY: &str = "node.tls.key_file";

/// Where the certificate of the gateway is, with its chain, and its key: both PEM.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate and what leads to its authority, in this order.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// TLS of the gateway's port.
#[derive(Clone)]
pub struct GatewayTls {
    server: Arc<rustls::ServerConfig>,
    kept: Arc<Kept>,
}

/// What is told of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CertificateGauges {
    /// Unix time in seconds.
    pub(crate) expires: Gauge,
    /// 1 while the files hold what is not taken.
    pub(crate) refused: Gauge,
}

/// What the files held when they were last read.
struct Read {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

struct Kept {
    files: CertificateFiles,
    provider: Arc<rustls::crypto::CryptoProvider>,
    clock: Arc<dyn Clock>,
    current: ArcSwap<InForce>,
}

/// A certificate in force, and its time.
struct InForce {
    certified: Arc<CertifiedKey>,
    from: Timestamp,
    until: Timestamp,
    /// Tells what it was read from; no secret can be found from it.
    mark: u64,
}

impl GatewayTls {
    /// Reads a certificate and its key, whatever its time: there is no other one.
    ///
    /// # Errors
    /// [`NodeError::Setting`] when a file cannot be read, or they do not belong together.
    pub fn read(files: CertificateFiles, clock: Arc<dyn Clock>) -> Result<Self, NodeError> {
        let builder = rustls::ServerConfig::builder();
        let provider = Arc::clone(builder.crypto_provider());
        let current = InForce::of(&Read::of(&files)?, &provider)?;
        let kept = Arc::new(Kept { files, provider, clock, current: ArcSwap::from_pointee(current) });
        let mut server = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&kept) as _);
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { server: Arc::new(server), kept })
    }

    /// Takes what the files hold, if that is something else than before. Reads them.
    ///
    /// # Errors
    /// As [`Self::read`], and where the new one's time is over or has not come, and the one before is good; then that one
    /// stays in force.
    pub fn look(&self) -> Result<(), NodeError> {
        self.kept.look()
    }

    pub(crate) fn server(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Looks at the files until `stop`.
    pub(crate) async fn watch(self, gauges: CertificateGauges, stop: CancellationToken) {
        let mut refused = None;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let looking = self.clone();
            let looked = tokio::task::spawn_blocking(move || looking.look()).await;
            let problem = looked.ok().and_then(Result::err).map(|error| error.to_string());
            if problem.is_some() && problem != refused {
                tracing::warn!(
                    error = problem,
                    "the gateway's certificate cannot be taken anew: the one before it stays"
                );
            }
            gauges.expires.set(self.kept.current.load().until.as_seconds());
            gauges.refused.set(i64::from(problem.is_some()));
            refused = problem;
        }
    }
}

impl Kept {
    fn look(&self) -> Result<(), NodeError> {
        let read = Read::of(&self.files)?;
        if read.mark() != self.current.load().mark {
            let fresh = InForce::of(&read, &self.provider)?;
            let now = self.clock.now();
            match fresh.problem(now) {
                Some(problem) if self.current.load().problem(now).is_none() => {
                    return Err(NodeError::setting(CERTIFICATE, problem));
                }
                Some(problem) => tracing::warn!(
                    error = problem,
                    "the gateway's new certificate is not good, nor is the one before it"
                ),
                None => {}
            }
            tracing::info!(not_after = fresh.until.as_seconds(), "the gateway has a new certificate");
            self.current.store(Arc::new(fresh));
        }
        Ok(())
    }
}

impl Read {
    fn of(files: &CertificateFiles) -> Result<Self, NodeError> {
        let read = |path: &PathBuf, what| {
            let problem = |error| NodeError::setting(what, format!("read {}: {error}", path.display()));
            std::fs::read(path).map_err(problem)
        };
        let certificate = read(&files.certificate, CERTIFICATE)?;
        Ok(Self { certificate, key: Zeroizing::new(read(&files.key, KEY)?) })
    }

    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &*self.key).hash(&mut hasher);
        hasher.finish()
    }
}

impl InForce {
    fn of(read: &Read, provider: &rustls::crypto::CryptoProvider) -> Result<Self, NodeError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&read.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| NodeError::setting(CERTIFICATE, "it is no PEM"))?;
        let leaf = chain.first().ok_or_else(|| NodeError::setting(CERTIFICATE, "no certificate is in it"))?;
        let (from, until) =
            tidegate_secrets::ca::validity(leaf).map_err(|error| NodeError::setting(CERTIFICATE, error))?;
        let key = PrivateKeyDer::from_pem_slice(&read.key)
            .map_err(|_| NodeError::setting(KEY, "no private key is in it"))?;
        let certified = CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| NodeError::setting("node.tls", error))?;
        Ok(Self { certified: Arc::new(certified), from, until, mark: read.mark() })
    }

    /// Why clients would refuse it.
    fn problem(&self, now: Timestamp) -> Option<&'static str> {
        match () {
            () if now < self.from => Some("its time has not come"),
            () if now > self.until => Some("its time is over"),
            () => None,
        }
    }
}

impl ResolvesServerCert for Kept {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().certified))
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("files", &self.files).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for GatewayTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayTls").field("kept", &self.kept).finish_non_exhaustive()
    }
}
