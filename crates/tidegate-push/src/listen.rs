//! The listening socket: TCP, then TLS with an optional client certificate, off the accept loop.
//!
//! A client that does not finish its handshake in time is dropped, and so is one beyond the number of handshakes
//! that may be in progress. Who has not said the first word has no place among those, and nobody has all of them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::{Acceptor, WebPkiClientVerifier};
use tidegate_types::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::LazyConfigAcceptor;
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
/// Of one address: the other half stays for the others.
const HANDSHAKES_OF_ONE: usize = 32;
/// The first word is there with the connection, or on a busy machine a little later.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// Connections that have not said it.
const SILENT: usize = 2_048;
/// Of one address; many nodes may come by one, through a balancer for example.
const SILENT_OF_ONE: usize = 1_024;

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
    let handshakes = tracker.clone();
    tracker.spawn(async move {
        let silent = Arc::new(Crowd::new(SILENT, SILENT_OF_ONE));
        let shaking = Arc::new(Crowd::new(HANDSHAKES, HANDSHAKES_OF_ONE));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((socket, from)) = accepted else {
                // Out of file descriptors, most likely: give others time to close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let from = network(from.ip());
            let Some(place) = Crowd::enter(&silent, from) else { continue };
            let (tls, shaking, ready) = (Arc::clone(&tls), Arc::clone(&shaking), ready.clone());
            handshakes.spawn(async move {
                let _ = socket.set_nodelay(true);
                let hello = LazyConfigAcceptor::new(Acceptor::default(), socket);
                let Ok(Ok(hello)) = tokio::time::timeout(FIRST_WORD, hello).await else { return };
                drop(place);
                let Some(place) = Crowd::enter(&shaking, from) else { return };
                let handshake = hello.into_stream(tls);
                if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                    drop(place);
                    let _ = ready.send(Ok(stream)).await;
                }
            });
        }
    });
    ReceiverStream::new(incoming)
}

/// What one party has many addresses of as easily as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Connections in one state: so many at most, and so many of one address.
struct Crowd {
    most: usize,
    most_of_one: usize,
    // No address without one.
    inside: Mutex<HashMap<IpAddr, usize>>,
}

/// One of a crowd, until it is dropped.
struct Place {
    crowd: Arc<Crowd>,
    from: IpAddr,
}

impl Crowd {
    fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, inside: Mutex::default() }
    }

    fn enter(crowd: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let mut inside = crowd.inside.lock();
        let (all, own) = (inside.values().sum::<usize>(), inside.get(&from).copied().unwrap_or(0));
        if all >= crowd.most || own >= crowd.most_of_one {
            return None;
        }
        inside.insert(from, own + 1);
        Some(Place { crowd: Arc::clone(crowd), from })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside.lock();
        match inside.get_mut(&self.from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(inside.remove(&self.from)),
        }
    }
}
