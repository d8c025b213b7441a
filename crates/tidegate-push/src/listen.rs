//! The listening socket: TCP, then TLS with an optional client certificate, off the accept loop.
//!
//! A client that does not finish its handshake in time is dropped, and so is one beyond the
//! number of handshakes that may be in progress.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use tidegate_types::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::PushError;
use crate::material::Material;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// So many at once that all of them end within the time-out where the processor does ten a second. With many more a
/// herd could starve itself: all begin, none ends in time, all come back. Whoever is dropped has cost nothing.
const HANDSHAKES: usize = 64;

/// The server's side of TLS: a fresh certificate for these names, client certificates verified
/// against every root. A client without one gets no further than enrolment.
pub(crate) fn tls(
    material: &Material,
    names: &[String],
    now: Timestamp,
) -> Result<Arc<rustls::ServerConfig>, PushError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for root in &material.roots {
        roots.add(root.clone())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let identity = material.authority.issue_server(names, now)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// The connections that finished their handshake, until `stop`.
pub(crate) fn connections(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (ready, incoming) = mpsc::channel(64);
    let acceptor = TlsAcceptor::from(tls);
    let handshakes = tracker.clone();
    tracker.spawn(async move {
        let permits = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((socket, _)) = accepted else {
                // Out of file descriptors, most likely: give others time to close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
            let (acceptor, ready) = (acceptor.clone(), ready.clone());
            handshakes.spawn(async move {
                let _ = socket.set_nodelay(true);
                if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await
                {
                    drop(permit);
                    let _ = ready.send(Ok(stream)).await;
                }
            });
        }
    });
    ReceiverStream::new(incoming)
}
