//! A stream between two dialects, through canonical events.

use tidegate_types::usage::Usage;

use super::{Facts, Out};
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Stop};
use crate::openai::watch::TOOL_CALL_OVERHEAD;
use crate::sse::Ready;
use crate::{AnswerFault, Content, Dialect, anthropic, openai};

/// State of such a stream.
pub(super) struct Translation {
    decoder: Decoder,
    encoder: Encoder,
    /// The finish, waiting for usage.
    held: Option<(Stop, Option<Content>)>,
    /// The counts came with or after the finish.
    counted: bool,
    finished: bool,
    ended: bool,
    events: Vec<Event>,
    usage: Option<Usage>,
}

enum Decoder {
    Openai(openai::decode_stream::Decoder),
    Anthropic(anthropic::decode_stream::Decoder),
}

enum Encoder {
    Openai(openai::encode_stream::Encoder),
    Anthropic(anthropic::encode_stream::Encoder),
}

impl Translation {
    pub(super) fn new(surface: Dialect, target: Dialect, facts: &AnswerFacts) -> Self {
        Self {
            decoder: match target {
                Dialect::OpenaiChat => Decoder::Openai(openai::decode_stream::Decoder::new()),
                Dialect::AnthropicMessages => {
                    Decoder::Anthropic(anthropic::decode_stream::Decoder::default())
                }
            },
            encoder: match surface {
                Dialect::OpenaiChat => Encoder::Openai(openai::encode_stream::Encoder::new(facts)),
                Dialect::AnthropicMessages => {
                    Encoder::Anthropic(anthropic::encode_stream::Encoder::new(facts))
                }
            },
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
            let decoded = match &mut self.decoder {
                Decoder::Openai(decoder) => decoder.decode(&event.data(), &mut events),
                Decoder::Anthropic(decoder) => decoder.decode(&event.data(), &mut events),
            };
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
                self.counted = self.held.is_some() || matches!(self.decoder, Decoder::Anthropic(_));
            }
            Event::Finish { stop, sequence } if !self.finished => {
                self.finished = true;
                self.held = Some((stop, sequence));
                if matches!(self.decoder, Decoder::Anthropic(_)) && !self.counted {
                    // Nothing but the first guess was told.
                    facts.usage = None;
                }
            }
            Event::Finish { .. } => {}
            Event::End => return self.finish_and_end(bytes),
            Event::Error(error) => (facts.reported, facts.fault) = (Some(error), Some(AnswerFault::Reported)),
            other => self.encode(&other, bytes),
        }
        if self.counted {
            self.finish(bytes);
        }
    }

    fn encode(&mut self, event: &Event, bytes: &mut Vec<u8>) {
        match &mut self.encoder {
            Encoder::Openai(encoder) => encoder.encode(event, bytes),
            Encoder::Anthropic(encoder) => encoder.encode(event, bytes),
        }
    }

    fn finish(&mut self, bytes: &mut Vec<u8>) {
        if let Some((stop, sequence)) = self.held.take() {
            let usage = self.usage.as_ref();
            match &mut self.encoder {
                Encoder::Openai(encoder) => encoder.finish(stop, usage, bytes),
                Encoder::Anthropic(encoder) => encoder.finish(stop, sequence.as_ref(), usage, bytes),
            }
        }
    }

    /// The end marker, once, and only after the provider said why it stopped.
    fn finish_and_end(&mut self, bytes: &mut Vec<u8>) {
        self.finish(bytes);
        if self.finished && !std::mem::replace(&mut self.ended, true) {
            self.encode(&Event::End, bytes);
        }
    }

    pub(super) fn release(&mut self, out: &mut Out<'_>) {
        let mut bytes = Vec::new();
        self.finish(&mut bytes);
        out.give(bytes.into());
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
