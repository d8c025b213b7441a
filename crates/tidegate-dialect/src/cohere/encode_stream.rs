//! Canonical events into streams of Cohere's chat.

use tidegate_types::usage::Usage;

use super::answer::stop_word;
use super::usage;
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Stop};
use crate::codec::StreamEncoder;
use crate::json::Writer;

/// State of such a stream.
pub(super) struct Encoder {
    call_id: std::sync::Arc<str>,
    /// Blocks of content and tool calls begun so far.
    blocks: u64,
    tools: u64,
    /// What kind of block is open, in the words of events.
    open: Option<&'static str>,
}

impl Encoder {
    pub(super) fn new(facts: &AnswerFacts) -> Self {
        Self { call_id: facts.call_id.clone(), blocks: 0, tools: 0, open: None }
    }

    fn current(&self) -> u64 {
        let begun = if self.open == Some("tool-call") { self.tools } else { self.blocks };
        begun.saturating_sub(1)
    }

    fn open(&mut self, block: &Block, out: &mut Vec<u8>) {
        let kind = match block {
            Block::Text => "text",
            Block::Thinking => "thinking",
            Block::ToolUse { id, name } => {
                (self.open, self.tools) = (Some("tool-call"), self.tools + 1);
                return self.piece(out, "tool-call-start", |json| {
                    json.key("tool_calls").object(|json| {
                        json.key("id").text(id).key("type").text("function").key("function").object(|json| {
                            json.key("name").text(name).key("arguments").text("");
                        });
                    });
                });
            }
            // What only its provider can read has no place here.
            _ => return,
        };
        (self.open, self.blocks) = (Some("content"), self.blocks + 1);
        self.piece(out, "content-start", |json| {
            json.key("content").object(|json| json.key("type").text(kind).key(kind).text("").done());
        });
    }

    fn grow(&self, delta: &Delta, out: &mut Vec<u8>) {
        let content = |out: &mut Vec<u8>, key: &str, text: &Content| {
            self.piece(out, "content-delta", |json| {
                json.key("content").object(|json| json.key(key).text(text.expose()).done());
            });
        };
        match delta {
            Delta::Text(text) => content(out, "text", text),
            Delta::Thinking(text) => content(out, "thinking", text),
            Delta::Input(piece) => self.piece(out, "tool-call-delta", |json| {
                json.key("tool_calls").object(|json| {
                    json.key("function").object(|json| json.key("arguments").text(piece.expose()).done());
                });
            }),
            Delta::Signature(_) => {}
        }
    }

    fn piece(&self, out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Writer)) {
        write(out, kind, |json| {
            json.key("index").whole(self.current()).key("delta").object(|json| {
                json.key("message").object(fill);
            });
        });
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => write(out, "message-start", |json| {
                json.key("id").text(&self.call_id).key("delta").object(|json| {
                    json.key("message").object(|json| {
                        json.key("role").text("assistant").key("content").array(|_| {});
                        json.key("tool_plan").text("").key("tool_calls").array(|_| {});
                        json.key("citations").array(|_| {});
                    });
                });
            }),
            Event::Open(block) => self.open(block, out),
            Event::Delta(delta) if self.open.is_some() => self.grow(delta, out),
            Event::Close => {
                if let Some(open) = self.open {
                    let index = self.current();
                    write(out, &format!("{open}-end"), |json| json.key("index").whole(index).done());
                }
                self.open = None;
            }
            _ => {}
        }
    }

    fn finish(&mut self, stop: Stop, _sequence: Option<&Content>, usage: Option<&Usage>, out: &mut Vec<u8>) {
        write(out, "message-end", |json| {
            json.key("id").text(&self.call_id).key("delta").object(|json| {
                json.key("finish_reason").text(stop_word(stop));
                usage::write(json.key("usage"), &usage.copied().unwrap_or_default());
            });
        });
    }
}

/// One event, named in the line before its data, too.
pub(super) fn write(out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Writer)) {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("type").text(kind);
        fill(json);
    });
    for piece in [b"event: ", kind.as_bytes(), b"\ndata: ", &json.into_bytes(), b"\n\n"] {
        out.extend_from_slice(piece);
    }
}
