//! The gateway's port: accepts callers and hands their sockets on.
//!
//! Knows sockets and TLS; what is said over them is `tidegate-proxy`'s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proxy::{Gateway, serve_connection};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::NodeError;

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an error of accepting (no file descriptors left, as a rule).
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// Binds a port; the address tells which one when 0 was asked for.
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), NodeError> {
    let listener = TcpListener::bind(address).await.map_err(NodeError::io("listen"))?;
    let address = listener.local_addr().map_err(NodeError::io("listen"))?;
    Ok((listener, address))
}

/// Accepts until `stop`; connections go on as tasks of `connections`.
pub(crate) async fn gateway(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    gateway: Arc<Gateway>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    while let Some((socket, peer)) = accept(&listener, &stop).await {
        let (gateway, acceptor) = (Arc::clone(&gateway), acceptor.clone());
        connections.spawn(async move {
            match acceptor {
                None => serve_connection(gateway, socket, peer.ip()).await,
                Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(socket)).await {
                    Ok(Ok(stream)) => serve_connection(gateway, stream, peer.ip()).await,
                    _ => tracing::trace!("a TLS handshake failed"),
                },
            }
        });
    }
}

/// The next connection, with TCP_NODELAY set; `None` once `stop` is cancelled.
pub(crate) async fn accept(
    listener: &TcpListener,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                // Without it small writes of a stream wait for the other side's acknowledgement.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "a connection was gone before it was served");
                    continue;
                }
                return Some((socket, peer));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}
