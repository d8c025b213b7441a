//! The bodies of our answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::connection::Underway;
use crate::relay::Relay;

/// The body of an answer. While it lives, its connection's request is under way.
pub(crate) struct AnswerBody {
    content: Content,
    _underway: Underway,
}

enum Content {
    Whole(Bytes),
    Relay(Box<Relay>),
    /// Pieces that somebody else makes.
    Fed(mpsc::Receiver<Bytes>),
}

impl AnswerBody {
    pub(crate) fn whole(bytes: Bytes, underway: Underway) -> Self {
        Self { content: Content::Whole(bytes), _underway: underway }
    }

    pub(crate) fn fed(pieces: mpsc::Receiver<Bytes>, underway: Underway) -> Self {
        Self { content: Content::Fed(pieces), _underway: underway }
    }

    pub(crate) fn relay(relay: Box<Relay>, underway: Underway) -> Self {
        Self { content: Content::Relay(relay), _underway: underway }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Fed(pieces) => {
                pieces.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
            Content::Relay(relay) => {
                relay.poll_piece(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Fed(_) => false,
            Content::Relay(relay) => relay.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Relay(_) | Content::Fed(_) => SizeHint::default(),
        }
    }
}
