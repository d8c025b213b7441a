//! A stream between two dialects, through canonical events.

use tidegate_types::usage::Usage;

use super::{Facts, Out};
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Stop};
use crate::codec::{self, StreamDecoder, StreamEncoder};
use crate::openai::watch::TOOL_CALL_OVERHEAD;
use crate::refusal::{self, Failure};
use crate::sse::Ready;
use crate::{AnswerFault, Content, Dialect};

/// State of such a stream.
pub(super) struct Translation {
    decoder: Box<dyn StreamDecoder>,
    encoder: Box<dyn StreamEncoder>,
    /// The finish, waiting for usage.
    held: Option<(Stop, Option<Content>)>,
    /// The counts came with or after the finish.
    counted: bool,
    finished: bool,
    ended: bool,
    events: Vec<Event>,
    usage: Option<Usage>,
}

impl Translation {
    pub(super) fn new(surface: Dialect, target: Dialect, facts: &AnswerFacts) -> Self {
        Self {
            decoder: (codec::of(target).decoder)(),
            encoder: (codec::of(surface).encoder)(facts),
            held: None,
            counted: false,
            finished: false,
            ended: false,
            events: Vec::new(),
            usage: None,
        }
    }

    pub(super) fn holding(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn take(&mut self, ready: &Ready, facts: &mut Facts, out: &mut Out<'_>) {
        let mut bytes = Vec::new();
        for event in ready.events() {
            let mut events = std::mem::take(&mut self.events);
            let decoded = self.decoder.decode(event.name(), &event.data(), &mut events);
            for event in events.drain(..) {
                self.one(event, facts, &mut bytes);
            }
            self.events = events;
            if let Err(fault) = decoded {
                facts.fault = Some(fault);
            }
            if facts.fault.is_some() {
                break;
            }
        }
        out.give(bytes.into());
    }

    fn one(&mut self, event: Event, facts: &mut Facts, bytes: &mut Vec<u8>) {
        note(&event, facts);
        match event {
            Event::Usage(usage) => {
                self.usage = Some(usage);
                self.counted = self.held.is_some() || self.decoder.counts_first();
            }
            Event::Finish { stop, sequence } if !self.finished => {
                self.finished = true;
                self.held = Some((stop, sequence));
                if self.decoder.counts_first() && !self.counted {
                    // Nothing but the first guess was told.
                    facts.usage = None;
                }
            }
            Event::Finish { .. } => {}
            Event::End => return self.finish_and_end(bytes),
            Event::Error(error) => (facts.reported, facts.fault) = (Some(error), Some(AnswerFault::Reported)),
            other => self.encoder.encode(&other, bytes),
        }
        if self.counted {
            self.finish(bytes);
        }
    }

    fn finish(&mut self, bytes: &mut Vec<u8>) {
        if let Some((stop, sequence)) = self.held.take() {
            self.encoder.finish(stop, sequence.as_ref(), self.usage.as_ref(), bytes);
        }
    }

    /// The end marker, once, and only after the provider said why it stopped.
    fn finish_and_end(&mut self, bytes: &mut Vec<u8>) {
        self.finish(bytes);
        if self.finished && !std::mem::replace(&mut self.ended, true) {
            self.encoder.encode(&Event::End, bytes);
        }
    }

    pub(super) fn release(&mut self, out: &mut Out<'_>) {
        let mut bytes = Vec::new();
        self.finish(&mut bytes);
        out.give(bytes.into());
    }

    /// The encoder's own ending with an error, if it has one.
    pub(super) fn fail(&mut self, failure: &Failure<'_>, usage: Option<&Usage>) -> Option<Vec<u8>> {
        let status = failure.status.unwrap_or(refusal::words(failure.cause).0);
        let mut bytes = Vec::new();
        self.encoder.fail(failure, status, usage, &mut bytes).then_some(bytes)
    }

    /// The provider's stream is over and complete: so is the client's.
    pub(super) fn close(&mut self, out: &mut Out<'_>) {
        let mut bytes = Vec::new();
        self.finish_and_end(&mut bytes);
        out.give(bytes.into());
    }
}

fn note(event: &Event, facts: &mut Facts) {
    let visible = match event {
        Event::Open(Block::ToolUse { name, .. }) => name.len() as u64 + TOOL_CALL_OVERHEAD,
        Event::Open(Block::RedactedThinking { .. }) => 1,
        Event::Delta(Delta::Text(text) | Delta::Thinking(text) | Delta::Input(text)) => {
            text.expose().len() as u64
        }
        _ => 0,
    };
    facts.visible_bytes += visible;
    facts.started |= visible > 0;
    match event {
        Event::Start { usage: Some(usage), .. } | Event::Usage(usage) => facts.usage = Some(*usage),
        Event::Finish { .. } => (facts.finished, facts.started) = (true, true),
        Event::End => facts.ended = true,
        _ => {}
    }
}
