//! The caller's socket with deadlines: for a head once begun, for standing idle, for taking
//! what is written.
//!
//! One lazy timer per connection, so that a request costs none; an idle connection lives at
//! most twice its time. Deadlines for bodies are
//! kept by `read_call`, deadlines for answers by `failover`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a connection may take over things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
    /// For a caller that takes nothing of what is written.
    pub(crate) write: Duration,
}

/// Counts the requests of a connection: begun and ended.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    begun: AtomicU32,
    ended: AtomicU32,
    /// The next write is to let others come as far.
    gathers: AtomicBool,
}

/// A request under way; ends with its answer's body.
#[derive(Debug)]
pub(crate) struct Underway(Arc<Traffic>);

impl Traffic {
    pub(crate) fn begin(self: &Arc<Self>) -> Underway {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Underway(self.clone())
    }
}

impl Underway {
    /// The answer's first bytes are written when what else is ready has come as far ([`crate::gateway::gather`]).
    pub(crate) fn gather(&self) {
        self.0.gathers.store(true, Ordering::Relaxed);
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The socket.
pub(crate) struct Wire<I> {
    io: I,
    traffic: Arc<Traffic>,
    patience: Patience,
    /// Requests ended when the present wait began.
    ended: u32,
    /// When the present wait began.
    waiting_since: Instant,
    /// When the first byte of a head came, in HTTP/1.1.
    head_since: Option<Instant>,
    kind: Kind,
    timer: Option<Pin<Box<Sleep>>>,
    /// Runs while nothing can be written.
    stall: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing was read yet.
    Fresh,
    Http1,
    Http2,
}

impl<I> Wire<I> {
    pub(crate) fn new(io: I, traffic: Arc<Traffic>, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            io,
            traffic,
            patience,
            ended: 0,
            waiting_since: now,
            head_since: Some(now),
            kind: Kind::Fresh,
            timer: None,
            stall: None,
        }
    }

    fn note_bytes(&mut self, bytes: &[u8]) {
        if self.kind == Kind::Fresh {
            self.kind = if bytes.starts_with(b"PRI") { Kind::Http2 } else { Kind::Http1 };
        }
        if self.kind == Kind::Http2 {
            // Any frame is a sign of life.
            self.head_since = None;
            self.waiting_since = Instant::now();
        } else if self.is_waiting() && self.head_since.is_none() {
            self.head_since = Some(Instant::now());
        }
    }

    /// Whether no request is under way; starts a new wait when one ended since.
    fn is_waiting(&mut self) -> bool {
        let ended = self.traffic.ended.load(Ordering::Relaxed);
        if ended != self.traffic.begun.load(Ordering::Relaxed) {
            return false;
        }
        if ended != self.ended {
            self.ended = ended;
            self.waiting_since = Instant::now();
            self.head_since = None;
        }
        true
    }

    fn deadline(&self) -> Instant {
        match self.head_since {
            Some(since) => since + self.patience.head,
            None => self.waiting_since + self.patience.idle,
        }
    }

    /// Whether this write is to be tried again when others have had their turn.
    fn gathers(&self, cx: &Context<'_>) -> bool {
        let gathers = self.traffic.gathers.load(Ordering::Relaxed);
        if gathers {
            self.traffic.gathers.store(false, Ordering::Relaxed);
            cx.waker().wake_by_ref();
        }
        gathers
    }

    /// Passes the outcome of a write on; an error when nothing could be written for too long.
    fn judge_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let patience = self.patience.write;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stall.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Ready when the deadline has passed while nothing was under way.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // While a request is under way there is none, and the timer that runs is as good as any.
            let deadline = self.is_waiting().then(|| self.deadline());
            let idle = self.patience.idle;
            let timer = match &mut self.timer {
                Some(timer) => timer,
                // Also while a request is under way: nobody may ask again when it has ended.
                None => {
                    let until = deadline.unwrap_or_else(|| Instant::now() + idle);
                    self.timer.insert(Box::pin(tokio::time::sleep_until(until)))
                }
            };
            if let Some(deadline) = deadline.filter(|deadline| timer.deadline() > *deadline) {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline.unwrap_or(now + idle));
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Wire<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Pending => match this.poll_deadline(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            },
            Poll::Ready(Ok(())) => {
                this.note_bytes(buf.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Wire<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.gathers(cx) {
            return Poll::Pending;
        }
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.judge_write(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.gathers(cx) {
            return Poll::Pending;
        }
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.judge_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
