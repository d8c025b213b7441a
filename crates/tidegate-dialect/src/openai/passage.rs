//! An OpenAI stream to an OpenAI client: the same bytes, except where the usage goes.
//!
//! A client that did not ask for usage gets it on the last chunk that has a choice, and no chunk
//! without choices: loops that read `choices[0]` unguarded keep working. So that chunk waits for usage.

use bytes::Bytes;

use super::watch::{Glance, glance};
use crate::AnswerFault;
use crate::codec::Passage;
use crate::json::{Span, Splices, Value, Writer};
use crate::sse::{Event, Ready};
use crate::stream::{Facts, Out, UNREADABLE};

/// State of such a stream.
#[derive(Default)]
pub(super) struct Passthrough {
    asked_usage: bool,
    held: Option<Held>,
    choices_seen: u128,
    choices_finished: u128,
    /// The unasked usage has already been seen by the client.
    told: bool,
    /// The web was searched for this answer.
    cites: bool,
    /// The usage chunk that the client asked for, from usage that only Groq's clients would find: due
    /// when the provider ends without one of its own.
    owed: Option<Bytes>,
}

/// The finish chunk, waiting for usage, and what came after it.
struct Held {
    event: Bytes,
    place: Place,
    after: Vec<Bytes>,
}

/// Where usage goes in a chunk.
enum Place {
    /// At this span of the event.
    Inline(Span, &'static [u8]),
    /// The data comes in several lines: the event is written anew from these bytes of JSON.
    Joined(Bytes, Span, &'static [u8]),
}

/// What to do with an event.
enum Verdict {
    Pass,
    /// Passes behind the usage chunk that the client asked for.
    PassAfter(Bytes),
    /// Goes behind what is held, if anything is.
    PassBehind,
    Hold(Place),
    /// The finish chunk tells its usage where only Groq's clients look: it goes where all do, too.
    Tell(Place, Vec<u8>),
    /// The usage chunk that the client did not ask for.
    Usage(Vec<u8>),
    /// Nothing that a client could read.
    Drop,
}

impl Passthrough {
    pub(super) fn new(asked_usage: bool) -> Self {
        Self { asked_usage, ..Self::default() }
    }
}

impl Passage for Passthrough {
    fn holding(&self) -> bool {
        self.held.is_some()
    }

    fn take(&mut self, ready: &Ready, facts: &mut Facts, out: &mut Out<'_>) {
        for event in ready.events() {
            match self.judge(&event, facts) {
                Verdict::Drop => {}
                Verdict::Pass => {
                    self.release(out);
                    out.pass(&ready.bytes, event.span);
                }
                Verdict::PassAfter(usage) => {
                    out.give(usage);
                    out.pass(&ready.bytes, event.span);
                }
                Verdict::PassBehind => match &mut self.held {
                    Some(held) => held.after.push(ready.bytes.slice(event.span)),
                    None => out.pass(&ready.bytes, event.span),
                },
                Verdict::Hold(place) => {
                    self.release(out);
                    let event = ready.bytes.slice(event.span);
                    self.held = Some(Held { event, place, after: Vec::new() });
                }
                Verdict::Tell(place, usage) => {
                    self.release(out);
                    let held = Held { event: ready.bytes.slice(event.span), place, after: Vec::new() };
                    out.give(held.with(&usage));
                    self.told = true;
                }
                Verdict::Usage(usage) => {
                    if let Some(held) = &mut self.held {
                        held.event = held.with(&usage);
                        self.told = true;
                    }
                    self.release(out);
                }
            }
            if facts.fault.is_some() {
                break;
            }
        }
    }

    fn release(&mut self, out: &mut Out<'_>) {
        if let Some(held) = self.held.take() {
            out.give(held.event);
            held.after.into_iter().for_each(|event| out.give(event));
        }
    }
}

impl Passthrough {
    fn judge(&mut self, event: &Event<'_>, facts: &mut Facts) -> Verdict {
        let data = event.data();
        if data.is_empty() {
            return Verdict::PassBehind;
        }
        if *data == *b"[DONE]" {
            facts.ended = true;
            return self.owed.take().map_or(Verdict::Pass, Verdict::PassAfter);
        }
        let Ok(root) = Value::parse(&data) else {
            // It counts as output, so that it is paid for.
            facts.visible_bytes += data.len() as u64;
            facts.fault = Some(UNREADABLE);
            return Verdict::Drop;
        };
        let seen = glance(&root);
        self.note(&seen, facts);
        if seen.error.is_some() {
            (facts.reported, facts.fault) = (seen.error, Some(AnswerFault::Reported));
            return Verdict::Pass;
        }
        if self.asked_usage {
            self.owe(&root, &seen);
            return Verdict::Pass;
        }
        match (seen.choices, seen.usage_member.filter(|usage| !usage.is_null())) {
            (false, Some(usage)) => Verdict::Usage(usage.raw().to_vec()),
            (true, None) if seen.finished != 0 && !self.told => {
                let (span, lead) = usage_place(&root, seen.usage_member);
                let place = match event.data_offset() {
                    Some(offset) => {
                        Place::Inline(Span { start: span.start + offset, end: span.end + offset }, lead)
                    }
                    None => Place::Joined(Bytes::copy_from_slice(&data), span, lead),
                };
                match seen.groq_usage.filter(|_| seen.usage.is_some()) {
                    Some(usage) => Verdict::Tell(place, usage.raw().to_vec()),
                    None => Verdict::Hold(place),
                }
            }
            (true, None) => Verdict::Pass,
            (true, Some(_)) => {
                self.told |= seen.finished != 0;
                Verdict::Pass
            }
            (false, None) => Verdict::PassBehind,
        }
    }

    /// Remembers usage that stands only where Groq's clients look, until the provider tells its own.
    fn owe(&mut self, root: &Value<'_>, seen: &Glance<'_>) {
        if seen.usage_member.is_some_and(|usage| !usage.is_null()) {
            self.told = true;
            self.owed = None;
        } else if let Some(usage) = seen.groq_usage.filter(|_| !self.told && seen.usage.is_some()) {
            self.owed = Some(usage_chunk(root, &usage));
        }
    }

    fn note(&mut self, seen: &Glance<'_>, facts: &mut Facts) {
        facts.started |= seen.output;
        facts.visible_bytes += seen.visible_bytes;
        facts.usage = seen.usage.or(facts.usage);
        self.cites |= seen.cites;
        if let Some(usage) = &mut facts.usage {
            usage.searches = usage.searches.max(u64::from(self.cites));
        }
        self.choices_seen |= seen.seen;
        self.choices_finished |= seen.finished;
        facts.finished = self.choices_seen != 0 && self.choices_seen == self.choices_finished;
    }
}

impl Held {
    /// The chunk with this usage in it.
    fn with(&self, usage: &[u8]) -> Bytes {
        let mut splices = Splices::default();
        match &self.place {
            Place::Inline(span, lead) => {
                splices.replace(*span, [lead, usage].concat());
                splices.apply(&self.event)
            }
            Place::Joined(data, span, lead) => {
                splices.replace(*span, [lead, usage].concat());
                let json = splices.apply(data);
                let mut event = b"data: ".to_vec();
                // Line ends of the joined data are white space between tokens.
                event.extend(json.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
                event.extend_from_slice(b"\n\n");
                event.into()
            }
        }
    }
}

/// The chunk without choices that tells usage at the end of a stream, with the names of the chunk `like`.
fn usage_chunk(like: &Value<'_>, usage: &Value<'_>) -> Bytes {
    let mut json = Writer::new();
    json.object(|json| {
        for name in ["id", "object", "created", "model"] {
            if let Some(value) = like.get(name) {
                json.key(name).raw(value.raw());
            }
        }
        json.key("choices").raw(b"[]");
        json.key("usage").raw(usage.raw());
    });
    [b"data: ", &*json.into_bytes(), b"\n\n"].concat().into()
}

/// Where usage goes in a chunk, and what comes before it.
fn usage_place(root: &Value<'_>, member: Option<Value<'_>>) -> (Span, &'static [u8]) {
    match member {
        Some(null) => (null.span(), b""),
        None => (Span::at(root.span().end.saturating_sub(1)), br#","usage":"#),
    }
}
