//! A provider's stream on its way to the client: bytes in, bytes out, facts beside them.
//!
//! Same dialect: slices of the very input, edited at one place. Other dialects: decoded to
//! canonical events and encoded again. Keeps no clock: the caller says when waiting is over.

use bytes::Bytes;
use tidegate_types::usage::Usage;

use crate::answer::AnswerFacts;
use crate::refusal::Failure;
use crate::{AnswerFault, Dialect};

/// What the stream has shown so far. Grows, never shrinks.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// An event with output has been seen: after it there is no failover.
    pub started: bool,
    /// UTF-8 bytes of visible output so far, plus a constant per tool call: an upper bound of its tokens.
    pub visible_bytes: u64,
    /// The newest usage. Before the finish its output tokens may be a provider's first guess.
    pub usage: Option<Usage>,
    /// The provider said why it stopped.
    pub finished: bool,
    /// The provider's own end marker came (`[DONE]`, `message_stop`).
    pub ended: bool,
    /// What went wrong; nothing more comes out after it.
    pub fault: Option<AnswerFault>,
    /// The provider's error, when it reported one inside the stream.
    pub reported: Option<crate::refusal::UpstreamError>,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Complete: the provider said why it stopped (a missing end marker is forgiven).
    Complete,
    /// It broke off.
    Truncated,
    /// It carried an error, or something that cannot be read.
    Faulty,
}

/// A stream from one provider to one client.
pub struct AnswerStream {
    facts: Facts,
}

impl AnswerStream {
    /// A stream that a provider of dialect `target` sends to a client of dialect `surface`.
    #[must_use]
    pub fn new(surface: Dialect, target: Dialect, facts: &AnswerFacts) -> Self {
        todo!()
    }

    /// Takes the next bytes from the provider; appends what may go to the client now.
    /// Nothing more is taken after [`Facts::fault`] is set.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<Bytes>) {
        todo!()
    }

    /// Whether the finish is held back until usage comes: the caller waits at most 250 ms, then calls
    /// [`Self::release`].
    #[must_use]
    pub fn holding(&self) -> bool {
        todo!()
    }

    /// Waiting for usage is over: what is held goes out as it is.
    pub fn release(&mut self, out: &mut Vec<Bytes>) {
        todo!()
    }

    /// The provider has closed its stream; what is held goes out.
    pub fn end(&mut self, out: &mut Vec<Bytes>) -> End {
        todo!()
    }

    /// Ends the client's stream with an error in its dialect, never with a marker of success.
    pub fn fail(&mut self, failure: &Failure<'_>, out: &mut Vec<Bytes>) {
        todo!()
    }

    /// What has been seen so far.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}
