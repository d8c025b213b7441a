//! Canonical events into streams of Anthropic messages.

use tidegate_types::usage::Usage;

use super::answer::{stop_word, write_start};
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Stop};
use crate::codec::StreamEncoder;
use crate::json::Writer;
use crate::usage::write_anthropic;

/// State of such a stream.
pub(crate) struct Encoder {
    facts: AnswerFacts,
    /// Blocks begun so far.
    blocks: u64,
}

impl Encoder {
    pub(crate) fn new(facts: &AnswerFacts) -> Self {
        Self { facts: facts.clone(), blocks: 0 }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, usage } => write(out, "message_start", |json| {
                // The counts come with the finish where the provider tells them late.
                let usage = usage.unwrap_or_default();
                write_start(json.key("message"), &self.facts, model.as_deref(), &usage);
            }),
            Event::Open(block) => {
                let index = self.blocks;
                self.blocks += 1;
                write(out, "content_block_start", |json| {
                    json.key("index").whole(index).key("content_block").object(|json| open(json, block));
                });
            }
            Event::Delta(delta) => write(out, "content_block_delta", |json| {
                json.key("index").whole(self.current()).key("delta").object(|json| grow(json, delta));
            }),
            Event::Close => {
                write(out, "content_block_stop", |json| json.key("index").whole(self.current()).done())
            }
            Event::Ping => write(out, "ping", |_| {}),
            Event::End => write(out, "message_stop", |_| {}),
            Event::Logprobs(_) | Event::Finish { .. } | Event::Usage(_) | Event::Error(_) => {}
        }
    }

    fn finish(&mut self, stop: Stop, sequence: Option<&Content>, usage: Option<&Usage>, out: &mut Vec<u8>) {
        write(out, "message_delta", |json| {
            json.key("delta").object(|json| {
                json.key("stop_reason").text(stop_word(stop)).key("stop_sequence");
                match sequence {
                    Some(sequence) => json.text(sequence.expose()),
                    None => json.null(),
                };
            });
            write_anthropic(json.key("usage"), &usage.copied().unwrap_or_default());
        });
    }
}

impl Encoder {
    fn current(&self) -> u64 {
        self.blocks.saturating_sub(1)
    }
}

fn open(json: &mut Writer, block: &Block) {
    match block {
        Block::Text => json.key("type").text("text").key("text").text(""),
        Block::Thinking => {
            json.key("type").text("thinking").key("thinking").text("").key("signature").text("")
        }
        Block::RedactedThinking { data } => {
            json.key("type").text("redacted_thinking").key("data").text(data.expose())
        }
        Block::ToolUse { id, name } => json
            .key("type")
            .text("tool_use")
            .key("id")
            .text(id)
            .key("name")
            .text(name)
            .key("input")
            .object(|_| {}),
    };
}

fn grow(json: &mut Writer, delta: &Delta) {
    let (kind, key, text) = match delta {
        Delta::Text(text) => ("text_delta", "text", text),
        Delta::Thinking(text) => ("thinking_delta", "thinking", text),
        Delta::Signature(text) => ("signature_delta", "signature", text),
        Delta::Input(text) => ("input_json_delta", "partial_json", text),
    };
    json.key("type").text(kind).key(key).text(text.expose());
}

/// One event, named in the line before its data, too.
fn write(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Writer)) {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("type").text(name);
        fill(json);
    });
    for piece in [b"event: ", name.as_bytes(), b"\ndata: ", &json.into_bytes(), b"\n\n"] {
        out.extend_from_slice(piece);
    }
}
