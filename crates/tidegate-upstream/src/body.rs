//! The body of an answer. It moves its HTTP/1.1 connection while it is read, gives it back
//! at the end, and closes it when dropped before.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::endpoint::Endpoint;
use crate::failure::SendError;
use crate::h1::H1;

/// What a provider sends after its head. Dropping it early aborts the request.
pub struct ResponseBody(Source);

enum Source {
    H1(Line),
    H2(Incoming),
    /// Read to its end, or broken.
    Over,
}

/// The HTTP/1.1 connection and where it belongs.
struct Line {
    h1: Box<H1>,
    home: Arc<Endpoint>,
    max_idle: usize,
}

impl ResponseBody {
    pub(crate) fn h1(h1: Box<H1>, home: Arc<Endpoint>, max_idle: usize) -> Self {
        let mut body = Self(Source::H1(Line { h1, home, max_idle }));
        body.give_back_at_end();
        body
    }

    pub(crate) const fn h2(incoming: Incoming) -> Self {
        Self(Source::H2(incoming))
    }

    fn give_back_at_end(&mut self) {
        if matches!(&self.0, Source::H1(line) if line.h1.is_ended())
            && let Source::H1(Line { h1, home, max_idle }) = std::mem::replace(&mut self.0, Source::Over)
            && h1.is_reusable()
        {
            home.pool.put_back(h1, max_idle);
        }
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
        let frame = match &mut this.0 {
            Source::H1(line) => {
                let piece = ready!(line.h1.poll_body(cx));
                this.give_back_at_end();
                piece.map(|piece| piece.map(Frame::data))
            }
            Source::H2(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                frame.map(|frame| frame.map_err(|_| SendError::Broken))
            }
            Source::Over => None,
        };
        if matches!(frame, Some(Err(_))) {
            this.0 = Source::Over;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::H1(line) => line.h1.is_ended(),
            Source::H2(incoming) => incoming.is_end_stream(),
            Source::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::H1(line) => line.h1.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Source::H2(incoming) => incoming.size_hint(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResponseBody")
    }
}
