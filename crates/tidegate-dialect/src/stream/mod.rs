//! A provider's stream on its way to the client: bytes in, bytes out, facts beside them.
//!
//! Same dialect: slices of the very input, edited at one place. Other dialects: decoded to
//! canonical events and encoded again. Keeps no clock: the caller says when waiting is over.

mod framing;
mod out;
mod translated;

use bytes::Bytes;
pub(crate) use out::Out;
use tidegate_types::usage::Usage;

use crate::answer::{AnswerFacts, Note};
use crate::codec::{self, Passage};
use crate::json::Value;
use crate::refusal::{self, Failure};
use crate::sse::{Event, Ready};
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

/// An SDK would stumble over it with an error that its callers do not expect: the stream ends.
pub(crate) const UNREADABLE: AnswerFault = AnswerFault::Malformed("an event that is not JSON");

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
    surface: Dialect,
    reader: framing::Framing,
    way: Way,
    facts: Facts,
    /// The last event given out had no blank line after it.
    unfinished: bool,
    note: Option<Note>,
}

/// How events go through.
enum Way {
    Same(Box<dyn Passage>),
    Translated(Box<translated::Translation>),
}

impl AnswerStream {
    /// A stream that a provider of dialect `target` sends to a client of dialect `surface`.
    #[must_use]
    pub fn new(surface: Dialect, target: Dialect, facts: &AnswerFacts) -> Self {
        let way = if surface == target {
            Way::Same((codec::of(surface).passage)(facts))
        } else {
            Way::Translated(Box::new(translated::Translation::new(surface, target, facts)))
        };
        Self {
            surface,
            reader: framing::Framing::of(target),
            way,
            facts: Facts::default(),
            unfinished: false,
            note: facts.note.clone(),
        }
    }

    /// Takes the next bytes from the provider; appends what may go to the client now.
    /// Nothing more is taken after [`Facts::fault`] is set.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<Bytes>) {
        if self.facts.fault.is_some() {
            return;
        }
        let ready = self.reader.feed(chunk);
        self.take(&ready, out);
        if let Some(fault) = self.reader.fault() {
            self.facts.fault.get_or_insert(fault);
        }
    }

    /// Whether the finish is held back until usage comes: the caller waits at most 250 ms, then calls
    /// [`Self::release`].
    #[must_use]
    pub fn holding(&self) -> bool {
        match &self.way {
            Way::Same(way) => way.holding(),
            Way::Translated(way) => way.holding(),
        }
    }

    /// Waiting for usage is over: what is held goes out as it is.
    pub fn release(&mut self, out: &mut Vec<Bytes>) {
        let mut out = Out::new(out);
        match &mut self.way {
            Way::Same(way) => way.release(&mut out),
            Way::Translated(way) => way.release(&mut out),
        }
        out.flush();
    }

    /// The provider has closed its stream; what is held goes out.
    pub fn end(&mut self, out: &mut Vec<Bytes>) -> End {
        if self.facts.fault.is_none()
            && let Some(last) = self.reader.finish()
        {
            // Half an event is no event: the client could not read it, nor what comes after it.
            if last.events().all(|event| whole(&event)) {
                self.unfinished = true;
                self.take(&last, out);
            }
        }
        self.release(out);
        let end = match (&self.facts.fault, self.facts.finished) {
            (Some(_), _) => End::Faulty,
            (None, true) => End::Complete,
            (None, false) => End::Truncated,
        };
        if let (End::Complete, Way::Translated(way)) = (end, &mut self.way) {
            way.close(&mut Out::new(out));
        }
        end
    }

    /// Ends the client's stream with an error in its dialect, never with a marker of success.
    pub fn fail(&mut self, failure: &Failure<'_>, out: &mut Vec<Bytes>) {
        self.release(out);
        if std::mem::take(&mut self.unfinished) {
            out.push(Bytes::from_static(b"\n\n"));
        }
        let told = match &mut self.way {
            Way::Same(_) => None,
            Way::Translated(way) => way.fail(failure, self.facts.usage.as_ref()),
        };
        out.push(told.unwrap_or_else(|| refusal::event(self.surface, failure)).into());
    }

    /// What has been seen so far.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    fn take(&mut self, ready: &Ready, list: &mut Vec<Bytes>) {
        let (before, from) = (self.facts.usage, list.len());
        let mut out = Out::new(list);
        match &mut self.way {
            Way::Same(way) => way.take(ready, &mut self.facts, &mut out),
            Way::Translated(way) => way.take(ready, &mut self.facts, &mut out),
        }
        out.flush();
        if let (Some(note), Some(usage)) = (&self.note, &self.facts.usage)
            && self.facts.usage != before
        {
            crate::note::on_stream(self.surface, list.get_mut(from..).unwrap_or_default(), note, usage);
        }
    }
}

/// Value of `content-type` with which a stream reaches a client of this dialect.
#[must_use]
pub const fn stream_content_type(surface: Dialect) -> &'static str {
    match surface {
        Dialect::BedrockConverse => "application/vnd.amazon.eventstream",
        _ => "text/event-stream; charset=utf-8",
    }
}

/// Whether an event without its blank line is nevertheless complete.
fn whole(event: &Event<'_>) -> bool {
    let data = event.data();
    *data == *b"[DONE]" || Value::parse(&data).is_ok()
}
