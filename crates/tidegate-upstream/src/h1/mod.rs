//! An HTTP/1.1 connection to a provider, moved only by whoever uses it: no task, no channel, and no
//! buffer while it waits. One request at a time, without pipelining.

mod chunked;
mod head;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Request, response};
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use crate::failure::SendError;
use crate::proxy::Remote;
use crate::send::RequestBody;
use crate::stream::Stream;
use chunked::Chunked;
use head::Framing;

/// Largest head of an answer.
const MAX_HEAD: usize = 64 * 1024;
/// Read at once, and what is read at once of an answer that comes faster.
const READ: usize = 4 * 1024;
const READ_MUCH: usize = 64 * 1024;

/// A connection.
pub(crate) struct H1 {
    io: Stream,
    pub(crate) remote: Remote,
    /// Since when it has been unused.
    pub(crate) since: Instant,
    /// What was read and not used up.
    unread: BytesMut,
    /// The last read brought all that was asked for.
    fast: bool,
    /// The answer that is being read.
    answer: Answer,
}

/// How far an answer's body is.
#[derive(Debug)]
struct Answer {
    body: Body,
    keeps_open: bool,
}

#[derive(Debug)]
enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Ended,
}

/// A request on its way out.
pub(crate) struct Outgoing {
    head: Bytes,
    body: Bytes,
    /// At least one byte was taken.
    begun: bool,
    flushed: bool,
    /// Nothing more can be written; an answer may still have come.
    failed: bool,
    /// The head of an answer that came before all was written.
    early: Option<response::Parts>,
}

impl Outgoing {
    pub(crate) fn new(request: &Request<RequestBody>, host: &HeaderValue) -> Self {
        let head = Bytes::from(head::encode(request, host));
        Self { head, body: request.body().bytes(), begun: false, flushed: false, failed: false, early: None }
    }

    /// Whether an answer of this status is to be read now: one that may depend on what is still to be
    /// written is not.
    fn lets_pass(&self, parts: &response::Parts) -> bool {
        self.flushed || self.failed || !parts.status.is_success()
    }

    /// Whether the provider may have seen any of it.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    fn is_written(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        self.body.advance(written - of_head);
        self.begun = true;
    }
}

impl H1 {
    pub(crate) fn new(io: Stream, remote: Remote) -> Self {
        let answer = Answer { body: Body::Ended, keeps_open: true };
        Self { io, remote, since: Instant::now(), unread: BytesMut::new(), fast: false, answer }
    }

    /// Whether an unused connection is still open and silent.
    pub(crate) fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        self.poll_read(cx).is_pending()
    }

    /// Whether the next request may use it.
    pub(crate) fn is_reusable(&self) -> bool {
        self.is_ended() && self.answer.keeps_open && self.unread.is_empty()
    }

    /// Whether the answer's body has been read.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.answer.body, Body::Ended)
    }

    /// What is left of the answer's body, where its head tells.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.answer.body {
            Body::Length(left) => Some(left),
            Body::Ended => Some(0),
            Body::Chunked(_) | Body::UntilClose => None,
        }
    }

    /// Writes the request and reads the head of its answer, which may come before all is written.
    pub(crate) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Outgoing,
    ) -> Poll<Result<response::Parts, SendError>> {
        if !out.failed && !out.flushed {
            match self.poll_write(cx, out) {
                Poll::Ready(Ok(())) => out.flushed = true,
                Poll::Ready(Err(_)) if !out.begun => return Poll::Ready(Err(SendError::Unwritten)),
                Poll::Ready(Err(_)) => out.failed = true,
                Poll::Pending => {}
            }
        }
        loop {
            if out.early.is_none() && !self.unread.is_empty() {
                out.early = self.take_head(out)?;
            }
            if let Some(parts) = out.early.take() {
                if out.lets_pass(&parts) {
                    return Poll::Ready(Ok(parts));
                }
                out.early = Some(parts);
                return Poll::Pending;
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(SendError::Broken)),
                Ok(_) => {}
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Outgoing) -> Poll<io::Result<()>> {
        while !out.is_written() {
            let parts = [io::IoSlice::new(&out.head), io::IoSlice::new(&out.body)];
            match ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &parts))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => out.advance(written),
            }
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// The answer's head, once it is there; interim answers are passed over.
    fn take_head(&mut self, out: &Outgoing) -> Result<Option<response::Parts>, SendError> {
        loop {
            let Some((head, length)) = head::parse(&self.unread).map_err(|_| SendError::Garbled)? else {
                let too_long = self.unread.len() > MAX_HEAD;
                return if too_long { Err(SendError::Garbled) } else { Ok(None) };
            };
            self.unread.advance(length);
            if head.parts.status.is_informational() {
                continue;
            }
            let body = match head.framing {
                Framing::Length(0) => Body::Ended,
                Framing::Length(length) => Body::Length(length),
                Framing::Chunked => Body::Chunked(Chunked::new()),
                Framing::UntilClose => Body::UntilClose,
            };
            // Behind a request that was not read to its end nothing can follow.
            self.answer = Answer { body, keeps_open: head.keeps_open && out.flushed };
            return Ok(Some(head.parts));
        }
    }

    /// The next piece of the answer's body: all that is there. `None` at its end.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, SendError>>> {
        loop {
            if self.is_ended() {
                return Poll::Ready(None);
            }
            if !self.unread.is_empty() {
                match self.take_piece() {
                    Ok(piece) if piece.is_empty() => continue,
                    piece => return Poll::Ready(Some(piece)),
                }
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if matches!(self.answer.body, Body::UntilClose) => self.answer.body = Body::Ended,
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(SendError::Broken))),
                Ok(_) => {}
            }
        }
    }

    fn take_piece(&mut self) -> Result<Bytes, SendError> {
        let (piece, ended) = match &mut self.answer.body {
            Body::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.unread.len());
                *left -= here as u64;
                let ended = *left == 0;
                // Whole, so that no buffer stays behind.
                let piece = if here == self.unread.len() {
                    std::mem::take(&mut self.unread)
                } else {
                    self.unread.split_to(here)
                };
                (piece, ended)
            }
            Body::Chunked(chunked) => {
                let mut piece = BytesMut::with_capacity(self.unread.len());
                let used = chunked.decode(&self.unread, &mut piece).map_err(|_| SendError::Garbled)?;
                if used == self.unread.len() {
                    self.unread = BytesMut::new();
                } else {
                    self.unread.advance(used);
                }
                (piece, chunked.is_ended())
            }
            Body::UntilClose => (std::mem::take(&mut self.unread), false),
            Body::Ended => (BytesMut::new(), true),
        };
        if ended {
            (self.answer.body, self.fast) = (Body::Ended, false);
        }
        Ok(piece.freeze())
    }

    /// Reads behind what is unread; the number of bytes, 0 when the peer has closed. Room is made when
    /// something is there: a connection that waits holds no memory for what may come.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.io.poll_readable(cx))?;
        self.unread.reserve(if self.fast { READ_MUCH } else { READ });
        let read = poll_read_buf(Pin::new(&mut self.io), cx, &mut self.unread);
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
        if let Poll::Ready(Ok(count)) = &read {
            self.fast = *count >= READ;
        }
        read
    }
}

impl std::fmt::Debug for H1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("H1")
    }
}
