//! How a provider's stream is cut into events: lines of text, or binary frames.

use bytes::Bytes;

use crate::eventstream;
use crate::sse::{self, Ready};
use crate::{AnswerFault, Dialect};

/// Cuts a stream of some dialect into events.
#[derive(Debug)]
pub(super) enum Framing {
    Lines(sse::Reader),
    Frames(eventstream::Reader),
}

impl Framing {
    pub(super) fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::BedrockConverse => Self::Frames(eventstream::Reader::default()),
            _ => Self::Lines(sse::Reader::default()),
        }
    }

    /// Takes the next bytes; gives the events that are whole now.
    pub(super) fn feed(&mut self, chunk: &Bytes) -> Ready {
        match self {
            Self::Lines(reader) => reader.feed(chunk),
            Self::Frames(reader) => reader.feed(chunk),
        }
    }

    /// Why nothing more can be read.
    pub(super) fn fault(&self) -> Option<AnswerFault> {
        match self {
            Self::Lines(reader) => reader.overlong().then_some(AnswerFault::TooLong),
            Self::Frames(reader) => reader.fault().cloned(),
        }
    }

    /// The stream is over: what is left, as one event that lacks its blank line. Half a frame is none.
    pub(super) fn finish(&mut self) -> Option<Ready> {
        match self {
            Self::Lines(reader) => reader.finish(),
            Self::Frames(_) => None,
        }
    }
}
