//! The listening socket: TCP, then TLS with an optional client certificate, off the accept loop.
//!
//! A client that does not finish its handshake in time is dropped, and so is one beyond the number of handshakes
//! that may be in progress. Who has not said the first word has no place among those, and whoever has many places makes
//! room for others. What is dropped is counted.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::{Accepted, Acceptor, WebPkiClientVerifier};
use tidegate_types::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::PushError;
use crate::certificate::OwnCertificate;
use crate::crowd::{Crowd, Place};
use crate::material::Material;
use crate::metrics::{Dropped, PushMetrics};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// So many at once that all of them end within the time-out where the processor does ten a second. With many more a
/// herd could starve itself: all begin, none ends in time, all come back. Whoever is dropped has cost nothing.
const HANDSHAKES: usize = 64;
/// Of one address, while nobody else needs them.
const HANDSHAKES_OF_ONE: usize = 32;
/// The first word is there with the connection, or on a busy machine a little later.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// Bytes that may come before it is whole. A node's has a tenth of it.
const FIRST_WORD_BYTES: usize = 16 * 1024;
/// Connections that have not said it.
const SILENT: usize = 2_048;
/// Of one address; many nodes may come by one, through a balancer for example.
const SILENT_OF_ONE: usize = 1_024;

/// The server's side of TLS: a certificate of its own for these names, client certificates verified
/// against every root. A client without one gets no further than enrolment.
pub(crate) fn tls(
    material: &Material,
    names: &[String],
    clock: Arc<dyn Clock>,
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
    let authority = Arc::clone(&material.authority);
    let certificate = OwnCertificate::new(authority, names.to_owned(), Arc::clone(&provider), clock)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// The connections that finished their handshake, until `stop`.
pub(crate) fn connections(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    metrics: PushMetrics,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (ready, incoming) = mpsc::channel(64);
    let handshakes = tracker.clone();
    tracker.spawn(async move {
        let (silent, shaking) =
            (Crowd::new(SILENT, SILENT_OF_ONE), Crowd::new(HANDSHAKES, HANDSHAKES_OF_ONE));
        let door = Arc::new(Door { tls, shaking, metrics });
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
            let place = match Crowd::enter(&silent, from.ip()) {
                Ok(place) => place,
                Err(why) => {
                    door.metrics.dropped(why);
                    continue;
                }
            };
            let (door, ready) = (Arc::clone(&door), ready.clone());
            handshakes.spawn(async move {
                match door.pass(socket, from.ip(), place).await {
                    Ok(Some(stream)) => drop(ready.send(Ok(stream)).await),
                    Ok(None) => {}
                    Err(why) => door.metrics.dropped(why),
                }
            });
        }
    });
    ReceiverStream::new(incoming)
}

/// What connections pass before they are served.
struct Door {
    tls: Arc<rustls::ServerConfig>,
    shaking: Arc<Crowd>,
    metrics: PushMetrics,
}

impl Door {
    /// The whole handshake; `None` when the other side gave up or did not show what it must.
    async fn pass(
        &self,
        socket: TcpStream,
        from: IpAddr,
        silent: Place,
    ) -> Result<Option<TlsStream<TcpStream>>, Dropped> {
        let _ = socket.set_nodelay(true);
        let Some(hello) = within(&silent, FIRST_WORD, first_word(&socket)).await?? else { return Ok(None) };
        drop(silent);
        let place = Crowd::enter(&self.shaking, from)?;
        let handshake = StartHandshake::from_parts(hello, socket).into_stream(Arc::clone(&self.tls));
        Ok(within(&place, HANDSHAKE_TIMEOUT, handshake).await?.ok())
    }
}

/// What comes of `work`, unless it takes longer or somebody else gets its place.
async fn within<T>(place: &Place, most: Duration, work: impl Future<Output = T>) -> Result<T, Dropped> {
    tokio::select! {
        () = place.displaced() => Err(Dropped::Displaced),
        done = tokio::time::timeout(most, work) => done.map_err(|_| Dropped::Late),
    }
}

/// The other side's first message; `None` when it went away.
async fn first_word(socket: &TcpStream) -> Result<Option<Accepted>, Dropped> {
    let (mut acceptor, mut sip) = (Acceptor::default(), Sip { socket, left: FIRST_WORD_BYTES });
    while socket.readable().await.is_ok() {
        match acceptor.read_tls(&mut sip) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Some(accepted)),
            Ok(None) if sip.left == 0 => return Err(Dropped::TooLong),
            Ok(None) => {}
            Err((_, mut alert)) => {
                let mut said = Vec::new();
                if alert.write_all(&mut said).is_ok() {
                    let _ = socket.try_write(&said);
                }
                return Err(Dropped::Malformed);
            }
        }
    }
    Ok(None)
}

/// Reads so many bytes at most.
struct Sip<'a> {
    socket: &'a TcpStream,
    left: usize,
}

impl io::Read for Sip<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.left);
        let read = self.socket.try_read(into.get_mut(..most).unwrap_or_default())?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}
