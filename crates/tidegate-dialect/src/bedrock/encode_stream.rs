//! Canonical events into streams of Converse: one binary frame each.

use tidegate_types::usage::Usage;

use super::answer::{write_metrics, write_stop};
use super::usage;
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Stop};
use crate::codec::StreamEncoder;
use crate::eventstream::frame;
use crate::json::Writer;

/// State of such a stream.
pub(super) struct Encoder {
    /// Blocks begun so far.
    blocks: u64,
}

impl Encoder {
    pub(super) fn new(_facts: &AnswerFacts) -> Self {
        Self { blocks: 0 }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => write(out, "messageStart", |json| {
                json.key("role").text("assistant");
            }),
            Event::Open(block) => {
                self.blocks += 1;
                self.open(block, out);
            }
            Event::Delta(delta) => self.delta(out, |json| grow(json, delta)),
            Event::Close => write(out, "contentBlockStop", |json| {
                json.key("contentBlockIndex").whole(self.current());
            }),
            // There is no frame for the rest: the last one is that of the counts.
            _ => {}
        }
    }

    fn finish(&mut self, stop: Stop, sequence: Option<&Content>, usage: Option<&Usage>, out: &mut Vec<u8>) {
        write(out, "messageStop", |json| write_stop(json, stop, sequence));
        write(out, "metadata", |json| {
            usage::write(json.key("usage"), &usage.copied().unwrap_or_default());
            write_metrics(json);
        });
    }
}

impl Encoder {
    fn current(&self) -> u64 {
        self.blocks.saturating_sub(1)
    }

    /// Blocks of text and reasoning begin with their first delta.
    fn open(&self, block: &Block, out: &mut Vec<u8>) {
        match block {
            Block::ToolUse { id, name } => write(out, "contentBlockStart", |json| {
                json.key("contentBlockIndex").whole(self.current());
                json.key("start").object(|json| {
                    json.key("toolUse").object(|json| {
                        json.key("toolUseId").text(id).key("name").text(name);
                    });
                });
            }),
            Block::RedactedThinking { data } => self.delta(out, |json| {
                json.key("reasoningContent")
                    .object(|json| json.key("redactedContent").text(data.expose()).done());
            }),
            _ => {}
        }
    }

    fn delta(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer)) {
        write(out, "contentBlockDelta", |json| {
            json.key("contentBlockIndex").whole(self.current()).key("delta").object(fill);
        });
    }
}

fn grow(json: &mut Writer, delta: &Delta) {
    let thought = |json: &mut Writer, key: &str, text: &Content| {
        json.key("reasoningContent").object(|json| json.key(key).text(text.expose()).done());
    };
    match delta {
        Delta::Text(text) => json.key("text").text(text.expose()).done(),
        Delta::Thinking(text) => thought(json, "text", text),
        Delta::Signature(text) => thought(json, "signature", text),
        Delta::Input(text) => {
            json.key("toolUse").object(|json| json.key("input").text(text.expose()).done()).done();
        }
    }
}

fn write(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Writer)) {
    let mut json = Writer::new();
    json.object(fill);
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    out.extend_from_slice(&frame(&headers, &json.into_bytes()));
}
