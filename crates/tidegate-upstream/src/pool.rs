//! Connections that wait for the next request.
//!
//! An HTTP/1.1 connection has no task of its own: whoever uses it moves it, so that a
//! request, its answer and the caller's connection are one task. HTTP/2 connections are
//! shared, and each has a task that ends with it.

use std::future::Future;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::h1::H1;
use crate::proxy::Remote;
use crate::send::RequestBody;
use crate::stream::Stream;

type Io = TokioIo<Stream>;

/// A shared HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct H2 {
    pub(crate) sender: http2::SendRequest<RequestBody>,
    pub(crate) remote: Remote,
    task: AbortHandle,
}

/// Runs HTTP/2's helpers as tracked tasks.
#[derive(Clone)]
pub(crate) struct Tracked(pub(crate) TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Either.
pub(crate) enum Connection {
    H1(Box<H1>),
    H2(H2),
}

impl H2 {
    pub(crate) fn start(
        sender: http2::SendRequest<RequestBody>,
        machine: http2::Connection<Io, RequestBody, Tracked>,
        remote: Remote,
        tasks: &TaskTracker,
    ) -> Self {
        // Ends when the last sender and stream are gone, or the peer closes.
        let task = tasks
            .spawn(async move {
                let _ = machine.await;
            })
            .abort_handle();
        Self { sender, remote, task }
    }

    fn is_usable(&self) -> bool {
        self.sender.is_ready() && !self.task.is_finished()
    }
}

/// The unused connections of one base URL.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    #[expect(clippy::vec_box, reason = "boxed where it is used; the shelf only keeps the pointer")]
    idle: Vec<Box<H1>>,
    shared: Option<H2>,
}

impl Pool {
    /// The most recently used connection that `accepts` its address and is still open.
    pub(crate) async fn take(
        &self,
        idle_timeout: Duration,
        accepts: impl Fn(Remote) -> bool,
    ) -> Option<Connection> {
        loop {
            let mut h1 = {
                let mut shelf = self.0.lock();
                if let Some(h2) = shelf.shared.take_if(|h2| !h2.is_usable()) {
                    drop(h2);
                }
                if let Some(h2) = &shelf.shared {
                    return accepts(h2.remote).then(|| Connection::H2(h2.clone()));
                }
                shelf.idle.pop()?
            };
            if h1.since.elapsed() > idle_timeout {
                // Newer ones were taken first: all that remain are older.
                self.0.lock().idle.retain(|other| other.since.elapsed() <= idle_timeout);
                continue;
            }
            if !accepts(h1.remote) {
                self.0.lock().idle.push(h1);
                return None;
            }
            if std::future::poll_fn(|cx| Poll::Ready(h1.is_silent(cx))).await {
                return Some(Connection::H1(h1));
            }
        }
    }

    pub(crate) fn put_back(&self, mut h1: Box<H1>, max_idle: usize) {
        h1.since = Instant::now();
        let mut shelf = self.0.lock();
        if shelf.idle.len() < max_idle {
            shelf.idle.push(h1);
        }
    }

    /// Shares an HTTP/2 connection; the first one stays.
    pub(crate) fn share(&self, h2: &H2) {
        let mut shelf = self.0.lock();
        if shelf.shared.as_ref().is_none_or(|other| !other.is_usable()) {
            shelf.shared = Some(h2.clone());
        }
    }

    /// Closes what has not been used for `idle_timeout`.
    pub(crate) fn sweep(&self, idle_timeout: Duration) {
        let mut shelf = self.0.lock();
        shelf.idle.retain(|h1| h1.since.elapsed() <= idle_timeout);
        shelf.shared.take_if(|h2| !h2.is_usable());
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}
