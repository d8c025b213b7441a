//! Canonical events into streams for clients of the AI SDK: one part per event, no names.

use tidegate_types::usage::Usage;

use super::answer::{stop_word, write_call, write_stop};
use super::{error, metadata, usage};
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Stop};
use crate::codec::StreamEncoder;
use crate::json::Writer;
use crate::refusal::Failure;

/// State of such a stream.
pub(super) struct Encoder {
    facts: AnswerFacts,
    started: bool,
    finished: bool,
    /// Blocks begun so far; the number is a block's id.
    blocks: u64,
    open: Option<Open>,
    /// A signature without words, for the part that comes next.
    pending: Option<String>,
}

/// The open block.
enum Open {
    Text,
    /// The signature comes in pieces.
    Thinking {
        signature: String,
        shown: bool,
    },
    Tool {
        id: String,
        name: String,
        input: String,
        signature: Option<String>,
    },
}

impl Encoder {
    pub(super) fn new(facts: &AnswerFacts) -> Self {
        Self { facts: facts.clone(), started: false, finished: false, blocks: 0, open: None, pending: None }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => self.start(model.as_deref(), out),
            Event::Open(block) => {
                self.start(None, out);
                self.close(out);
                self.open(block, out);
            }
            Event::Delta(delta) => self.grow(delta, out),
            Event::Close => self.close(out),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => out.extend_from_slice(b"data: [DONE]\n\n"),
            Event::Logprobs(_) | Event::Finish { .. } | Event::Usage(_) | Event::Error(_) => {}
        }
    }

    fn finish(&mut self, stop: Stop, _sequence: Option<&Content>, usage: Option<&Usage>, out: &mut Vec<u8>) {
        self.start(None, out);
        self.close(out);
        self.sign_alone(out);
        self.end(stop_word(stop), usage, out);
    }

    /// An error does not end a stream here: the finish does, with the usage so far.
    fn fail(&mut self, failure: &Failure<'_>, status: u16, usage: Option<&Usage>, out: &mut Vec<u8>) -> bool {
        self.start(None, out);
        match self.open.take() {
            // Half a call must not look like a whole one.
            Some(Open::Tool { .. }) | None => {}
            other => {
                self.open = other;
                self.close(out);
            }
        }
        out.extend_from_slice(&error::event(failure, status));
        self.end("error", usage, out);
        true
    }
}

impl Encoder {
    fn start(&mut self, model: Option<&str>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        part(out, "stream-start", |json| metadata::write_warnings(json.key("warnings"), &self.facts));
        part(out, "response-metadata", |json| metadata::write_response(json, &self.facts, model));
    }

    fn id(&self) -> String {
        self.blocks.saturating_sub(1).to_string()
    }

    fn open(&mut self, block: &Block, out: &mut Vec<u8>) {
        let thinks = matches!(block, Block::Thinking | Block::RedactedThinking { .. });
        if thinks {
            self.sign_alone(out);
        }
        self.blocks += 1;
        let number = self.id();
        // A signature that came without words belongs to this part.
        let signature = self.pending.take();
        let sign = |json: &mut Writer| {
            if let Some(signature) = &signature {
                metadata::write_signature(json.key("providerMetadata"), signature);
            }
        };
        self.open = Some(match block {
            Block::Text => {
                part(out, "text-start", |json| sign(json.key("id").text(&number)));
                Open::Text
            }
            // Shown with its first words.
            Block::Thinking => Open::Thinking { signature: String::new(), shown: false },
            Block::RedactedThinking { data } => {
                part(out, "reasoning-start", |json| {
                    json.key("id").text(&number);
                    metadata::write_redacted(json.key("providerMetadata"), data.expose());
                });
                Open::Thinking { signature: String::new(), shown: true }
            }
            Block::ToolUse { id, name } => {
                part(out, "tool-input-start", |json| {
                    sign(json.key("id").text(id).key("toolName").text(name))
                });
                Open::Tool { id: id.clone(), name: name.clone(), input: String::new(), signature }
            }
        });
    }

    fn grow(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let number = self.id();
        let mut grown = |kind: &str, id: &str, text: &str| {
            if !text.is_empty() {
                part(out, kind, |json| json.key("id").text(id).key("delta").text(text).done());
            }
        };
        match (delta, self.open.as_mut()) {
            (Delta::Text(text), Some(Open::Text)) => grown("text-delta", &number, text.expose()),
            (Delta::Thinking(text), Some(Open::Thinking { shown, .. })) if !text.is_empty() => {
                if !std::mem::replace(shown, true) {
                    part(out, "reasoning-start", |json| json.key("id").text(&number).done());
                }
                part(out, "reasoning-delta", |json| {
                    json.key("id").text(&number).key("delta").text(text.expose());
                });
            }
            (Delta::Signature(piece), Some(Open::Thinking { signature, .. })) => {
                signature.push_str(piece.expose());
            }
            (Delta::Input(piece), Some(Open::Tool { id, input, .. })) => {
                input.push_str(piece.expose());
                grown("tool-input-delta", id, piece.expose());
            }
            _ => {}
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let number = self.id();
        match self.open.take() {
            None => {}
            Some(Open::Text) => part(out, "text-end", |json| json.key("id").text(&number).done()),
            Some(Open::Thinking { signature, shown: false }) if metadata::goes_with_next(&signature) => {
                self.pending = Some(signature);
            }
            Some(Open::Thinking { signature, shown: false }) if !signature.is_empty() => {
                think_alone(&number, &signature, out);
            }
            Some(Open::Thinking { shown: false, .. }) => {}
            Some(Open::Thinking { signature, .. }) => part(out, "reasoning-end", |json| {
                json.key("id").text(&number);
                if !signature.is_empty() {
                    metadata::write_signature(json.key("providerMetadata"), &signature);
                }
            }),
            Some(Open::Tool { id, name, input, signature }) => {
                part(out, "tool-input-end", |json| json.key("id").text(&id).done());
                let input = if input.trim().is_empty() { "{}" } else { &input };
                event(out, |json| write_call(json, &id, &name, input, signature.as_deref()));
            }
        }
    }

    /// A signature that no part came for: a thought without words carries it.
    fn sign_alone(&mut self, out: &mut Vec<u8>) {
        if let Some(signature) = self.pending.take() {
            think_alone(&self.id(), &signature, out);
        }
    }

    fn end(&mut self, word: &str, counts: Option<&Usage>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        part(out, "finish", |json| {
            write_stop(json.key("finishReason"), self.facts.spec, word);
            usage::write(json.key("usage"), self.facts.spec, counts);
            metadata::write_gateway(json.key("providerMetadata"), &self.facts, counts);
        });
    }
}

fn think_alone(id: &str, signature: &str, out: &mut Vec<u8>) {
    part(out, "reasoning-start", |json| json.key("id").text(id).done());
    part(out, "reasoning-end", |json| {
        json.key("id").text(id);
        metadata::write_signature(json.key("providerMetadata"), signature);
    });
}

/// One part of this type.
fn part(out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Writer)) {
    event(out, |json| {
        json.key("type").text(kind);
        fill(json);
    });
}

fn event(out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer)) {
    let mut json = Writer::new();
    json.object(fill);
    for piece in [b"data: ".as_slice(), &json.into_bytes(), b"\n\n"] {
        out.extend_from_slice(piece);
    }
}
