//! The body of an answer. It drives its HTTP/1.1 connection while it is read, gives it back
//! at the end, and closes it when dropped before.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::endpoint::Endpoint;
use crate::failure::SendError;
use crate::pool::H1;

/// What a provider sends after its head. Dropping it early aborts the request.
pub struct ResponseBody {
    incoming: Incoming,
    line: Option<Line>,
}

/// The HTTP/1.1 connection and where it belongs.
struct Line {
    h1: Box<H1>,
    home: Arc<Endpoint>,
    max_idle: usize,
}

impl ResponseBody {
    pub(crate) fn h1(incoming: Incoming, h1: Box<H1>, home: Arc<Endpoint>, max_idle: usize) -> Self {
        let mut body = Self { incoming, line: Some(Line { h1, home, max_idle }) };
        body.give_back_at_end();
        body
    }

    pub(crate) const fn h2(incoming: Incoming) -> Self {
        Self { incoming, line: None }
    }

    fn give_back_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(Line { h1, home, max_idle }) = self.line.take()
            && !h1.sender.is_closed()
        {
            home.pool.put_back(h1, max_idle);
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(ready) = Pin::new(&mut self.incoming).poll_frame(cx) {
            return Poll::Ready(ready);
        }
        if let Some(line) = &mut self.line {
            line.h1.drive(cx);
            return Pin::new(&mut self.incoming).poll_frame(cx);
        }
        Poll::Pending
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let this = self.get_mut();
        match this.poll_incoming(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                this.give_back_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                this.line = None;
                Poll::Ready(Some(Err(SendError::Broken)))
            }
            Poll::Ready(None) => {
                this.give_back();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResponseBody")
    }
}
