//! Canonical events into streams.

use tidegate_types::usage::Usage;

use super::output::{
    Called, Said, State, status_of, stem, write_call, write_message, write_reasoning, write_response,
    write_text,
};
use super::sealed;
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Logprobs, Stop};
use crate::codec::StreamEncoder;
use crate::json::Writer;

/// The item that is being made.
enum Item {
    /// A message; its last part may be open.
    Message {
        texts: Vec<Said>,
        part: bool,
    },
    Reasoning {
        text: String,
        sealed: Option<String>,
    },
    Call {
        call_id: String,
        name: String,
        arguments: String,
    },
}

impl Item {
    /// What ids of such items begin with.
    const fn prefix(&self) -> &'static str {
        match self {
            Self::Message { .. } => "msg",
            Self::Reasoning { .. } => "rs",
            Self::Call { .. } => "fc",
        }
    }

    fn write(&self, json: &mut Writer, id: &str, status: &str) {
        match self {
            Self::Message { texts, .. } => write_message(json, id, status, texts),
            Self::Reasoning { text, sealed } => write_reasoning(json, id, status, text, sealed.as_deref()),
            Self::Call { call_id, name, arguments } => {
                write_call(json, id, status, &Called { call_id, name, arguments });
            }
        }
    }
}

/// State of such a stream.
pub(super) struct Encoder {
    facts: AnswerFacts,
    sequence: u64,
    /// Items that are done, as JSON: the last event repeats them.
    done: Vec<Vec<u8>>,
    item: Option<Item>,
    /// Log probabilities of the text that comes next.
    logprobs: Logprobs,
}

impl Encoder {
    pub(super) fn new(facts: &AnswerFacts) -> Self {
        Self {
            facts: facts.clone(),
            sequence: 0,
            done: Vec::new(),
            item: None,
            logprobs: Logprobs::default(),
        }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => {
                if let Some(model) = model {
                    self.facts.model.clone_from(model);
                }
                let state = State { status: "in_progress", reason: None, usage: None };
                self.response("response.created", &state, out);
                self.response("response.in_progress", &state, out);
            }
            Event::Open(block) => self.open(block, out),
            Event::Delta(delta) => self.grow(delta, out),
            Event::Logprobs(logprobs) => self.logprobs.append(logprobs),
            Event::Close => self.close(out),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End | Event::Finish { .. } | Event::Usage(_) | Event::Error(_) => {}
        }
    }

    fn finish(&mut self, stop: Stop, _sequence: Option<&Content>, usage: Option<&Usage>, out: &mut Vec<u8>) {
        let (status, reason) = status_of(stop);
        self.end_part(out);
        self.end(status, out);
        let name = if reason.is_some() { "response.incomplete" } else { "response.completed" };
        self.response(name, &State { status, reason, usage }, out);
    }
}

impl Encoder {
    fn open(&mut self, block: &Block, out: &mut Vec<u8>) {
        match block {
            Block::Text => {
                self.end_part(out);
                if !matches!(self.item, Some(Item::Message { .. })) {
                    self.begin(Item::Message { texts: Vec::new(), part: false }, out);
                }
                if let Some(Item::Message { texts, part }) = &mut self.item {
                    texts.push(Said::default());
                    *part = true;
                }
                self.of_part("response.content_part.added", out, |json| {
                    write_text(json.key("part"), "", &Logprobs::default());
                });
            }
            Block::Thinking => self.begin(Item::Reasoning { text: String::new(), sealed: None }, out),
            Block::RedactedThinking { data } => {
                let sealed = Some(sealed::seal_redacted(data));
                self.begin(Item::Reasoning { text: String::new(), sealed }, out);
            }
            Block::ToolUse { id, name } => {
                let (call_id, name) = (id.clone(), name.clone());
                self.begin(Item::Call { call_id, name, arguments: String::new() }, out);
            }
        }
    }

    fn grow(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match (delta, &mut self.item) {
            (Delta::Text(new), Some(Item::Message { texts, part: true })) => {
                let logprobs = std::mem::take(&mut self.logprobs);
                if let Some((text, of_text)) = texts.last_mut() {
                    text.push_str(new.expose());
                    of_text.append(&logprobs);
                }
                self.of_part("response.output_text.delta", out, |json| {
                    json.key("delta").text(new.expose());
                    logprobs.write(json.key("logprobs"));
                });
            }
            (Delta::Thinking(new), Some(Item::Reasoning { text, .. })) if !new.is_empty() => {
                let first = text.is_empty();
                text.push_str(new.expose());
                if first {
                    self.of_item("response.reasoning_summary_part.added", out, |json| summary(json, ""));
                }
                self.of_item("response.reasoning_summary_text.delta", out, |json| {
                    json.key("summary_index").whole(0).key("delta").text(new.expose());
                });
            }
            (Delta::Signature(signature), Some(Item::Reasoning { sealed, .. })) => {
                *sealed = Some(sealed::seal(signature));
            }
            (Delta::Input(new), Some(Item::Call { arguments, .. })) if !new.is_empty() => {
                arguments.push_str(new.expose());
                self.arguments(new.expose(), out);
            }
            _ => {}
        }
    }

    /// Ends what the block is; a message stays open, as further texts belong to it.
    fn close(&mut self, out: &mut Vec<u8>) {
        match &mut self.item {
            Some(Item::Message { .. }) => return self.end_part(out),
            Some(Item::Reasoning { text, .. }) if !text.is_empty() => {
                let text = text.clone();
                self.of_item("response.reasoning_summary_text.done", out, |json| {
                    json.key("summary_index").whole(0).key("text").text(&text);
                });
                self.of_item("response.reasoning_summary_part.done", out, |json| summary(json, &text));
            }
            Some(Item::Call { name, arguments, .. }) => {
                // Clients parse the arguments: without input they must be an empty object, not nothing.
                let none = arguments.is_empty();
                if none {
                    arguments.push_str("{}");
                }
                let (name, whole) = (name.clone(), arguments.clone());
                if none {
                    self.arguments(&whole, out);
                }
                self.of_item("response.function_call_arguments.done", out, |json| {
                    json.key("name").text(&name).key("arguments").text(&whole);
                });
            }
            _ => {}
        }
        self.end("completed", out);
    }

    fn arguments(&mut self, piece: &str, out: &mut Vec<u8>) {
        self.of_item("response.function_call_arguments.delta", out, |json| {
            json.key("delta").text(piece).done()
        });
    }

    /// Ends the open part of a message.
    fn end_part(&mut self, out: &mut Vec<u8>) {
        let Some(Item::Message { texts, part }) = &mut self.item else { return };
        let (true, Some(said)) = (std::mem::take(part), texts.last_mut()) else { return };
        said.1.append(&std::mem::take(&mut self.logprobs));
        let (text, logprobs) = said.clone();
        self.of_part("response.output_text.done", out, |json| {
            json.key("text").text(&text);
            logprobs.write(json.key("logprobs"));
        });
        self.of_part("response.content_part.done", out, |json| {
            write_text(json.key("part"), &text, &logprobs);
        });
    }

    fn begin(&mut self, item: Item, out: &mut Vec<u8>) {
        self.end_part(out);
        self.end("completed", out);
        let id = self.id(&item);
        let index = self.done.len() as u64;
        self.event("response.output_item.added", out, |json| {
            json.key("output_index").whole(index);
            item.write(json.key("item"), &id, "in_progress");
        });
        self.item = Some(item);
    }

    fn end(&mut self, status: &str, out: &mut Vec<u8>) {
        let Some(item) = self.item.take() else { return };
        let mut json = Writer::new();
        item.write(&mut json, &self.id(&item), status);
        let (whole, index) = (json.into_bytes(), self.done.len() as u64);
        self.event("response.output_item.done", out, |json| {
            json.key("output_index").whole(index).key("item").raw(&whole);
        });
        self.done.push(whole);
    }

    fn id(&self, item: &Item) -> String {
        format!("{}_{}_{}", item.prefix(), stem(&self.facts), self.done.len())
    }

    /// An event of the open item.
    fn of_item(&mut self, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer)) {
        let Some(item) = &self.item else { return };
        let (id, index) = (self.id(item), self.done.len() as u64);
        self.event(name, out, |json| {
            json.key("item_id").text(&id).key("output_index").whole(index);
            fill(json);
        });
    }

    /// An event of a message's last part.
    fn of_part(&mut self, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer)) {
        let Some(Item::Message { texts, .. }) = &self.item else { return };
        let index = texts.len().saturating_sub(1) as u64;
        self.of_item(name, out, |json| {
            json.key("content_index").whole(index);
            fill(json);
        });
    }

    fn response(&mut self, name: &str, state: &State<'_>, out: &mut Vec<u8>) {
        let (facts, done) = (self.facts.clone(), std::mem::take(&mut self.done));
        self.event(name, out, |json| {
            write_response(json.key("response"), &facts, state, |json| {
                done.iter().for_each(|item| json.raw(item).done());
            });
        });
        self.done = done;
    }

    fn event(&mut self, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer)) {
        let mut json = Writer::new();
        json.object(|json| {
            json.key("type").text(name).key("sequence_number").whole(self.sequence);
            fill(json);
        });
        self.sequence += 1;
        for piece in [b"event: ", name.as_bytes(), b"\ndata: ", &json.into_bytes(), b"\n\n"] {
            out.extend_from_slice(piece);
        }
    }
}

fn summary(json: &mut Writer, text: &str) {
    json.key("summary_index").whole(0).key("part").object(|json| {
        json.key("type").text("summary_text").key("text").text(text);
    });
}
