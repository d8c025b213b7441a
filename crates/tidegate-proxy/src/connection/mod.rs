//! One caller's connection: HTTP/1.1 or HTTP/2, raw hyper, no layers.

mod wire;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

use crate::gateway::Gateway;
use crate::serve::serve;
pub(crate) use wire::Underway;
use wire::{Patience, Traffic, Wire};

/// Largest head of a request that hyper reads, and most that is read ahead. Smaller ones are judged by `large_head`.
const MAX_HEAD: usize = 64 * 1024;

/// Serves one accepted connection until it closes. Set TCP_NODELAY on it before. `peer` is
/// the client's address (IP allow lists). Ends early, after the running answers, when the
/// gateway drains. When it only leaves, HTTP/2 is told so, and HTTP/1 hears it with its next answer:
/// an idle line that closes could meet a request on its way.
pub async fn serve_connection<I>(gateway: Arc<Gateway>, io: I, peer: IpAddr)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let traffic = Arc::new(Traffic::default());
    let settings = &gateway.settings;
    let patience =
        Patience { head: settings.head_timeout, idle: settings.idle_timeout, write: settings.write_timeout };
    let io = TokioIo::new(Wire::new(io, traffic.clone(), patience));
    let builder = builder(gateway.tasks.clone());
    let multiplexed = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        multiplexed.store(request.version() == Version::HTTP_2, Ordering::Relaxed);
        let (gateway, underway) = (gateway.clone(), traffic.begin());
        async move { Ok::<_, Infallible>(serve(&gateway, peer, underway, request).await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = gateway.leaving.cancelled() => {
            if multiplexed.load(Ordering::Relaxed) {
                connection.as_mut().graceful_shutdown();
            }
            tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = gateway.stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().await
                }
            }
        }
    };
    if ended.is_err() {
        tracing::trace!("a caller's connection broke");
    }
}

/// Runs HTTP/2 streams as tracked tasks.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

fn builder(tasks: TaskTracker) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(tasks));
    // Deadlines for heads are the wire's.
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .max_concurrent_streams(256)
        .adaptive_window(true)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
