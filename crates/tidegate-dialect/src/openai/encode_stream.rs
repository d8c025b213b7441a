//! Canonical events into streams of OpenAI chat completions.

use tidegate_types::usage::Usage;

use super::answer::{head, stop_word, write_logprobs};
use super::reasoning::{self, Detail};
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Logprobs, Stop};
use crate::codec::StreamEncoder;
use crate::json::Writer;
use crate::usage::write_openai;

/// State of such a stream.
pub(crate) struct Encoder {
    facts: AnswerFacts,
    /// Tool calls and reasoning blocks begun so far.
    tools: u64,
    thoughts: u64,
    /// The open tool call has no input yet.
    no_input: bool,
    /// Log probabilities of the text that comes next.
    logprobs: Logprobs,
}

impl Encoder {
    pub(crate) fn new(facts: &AnswerFacts) -> Self {
        Self { facts: facts.clone(), tools: 0, thoughts: 0, no_input: false, logprobs: Logprobs::default() }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => {
                if let Some(model) = model {
                    self.facts.model.clone_from(model);
                }
                self.delta(out, |json| json.key("role").text("assistant").key("content").text("").done());
            }
            Event::Open(block) => self.open(block, out),
            Event::Delta(delta) => self.grow(delta, out),
            Event::Logprobs(logprobs) => self.logprobs.append(logprobs),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => out.extend_from_slice(b"data: [DONE]\n\n"),
            // Clients parse the arguments: without input they must be an empty object, not nothing.
            Event::Close if std::mem::take(&mut self.no_input) => self.grow(&Delta::Input("{}".into()), out),
            Event::Close | Event::Finish { .. } | Event::Usage(_) | Event::Error(_) => {}
        }
    }

    fn finish(&mut self, stop: Stop, _sequence: Option<&Content>, usage: Option<&Usage>, out: &mut Vec<u8>) {
        let logprobs = std::mem::take(&mut self.logprobs);
        let inline = usage.filter(|_| !self.facts.asked_usage);
        self.chunk(out, inline, |json| {
            json.object(|json| {
                json.key("index").whole(0).key("delta").object(|_| {});
                write_logprobs(json, &logprobs);
                json.key("finish_reason").text(stop_word(stop));
            });
        });
        if let (true, Some(usage)) = (self.facts.asked_usage, usage) {
            self.chunk(out, Some(usage), |_| {});
        }
    }
}

impl Encoder {
    fn open(&mut self, block: &Block, out: &mut Vec<u8>) {
        match block {
            Block::Text => {}
            Block::Thinking => self.thoughts += 1,
            Block::RedactedThinking { data } => {
                self.thoughts += 1;
                self.detail(&Detail::Encrypted { data: data.expose() }, None, out);
            }
            Block::ToolUse { id, name } => {
                let index = self.tools;
                self.tools += 1;
                self.no_input = true;
                self.tool(out, index, |json| {
                    json.key("id").text(id).key("type").text("function").key("function").object(|json| {
                        json.key("name").text(name).key("arguments").text("");
                    });
                });
            }
        }
    }

    fn grow(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => {
                let logprobs = std::mem::take(&mut self.logprobs);
                self.choice(out, &logprobs, |json| json.key("content").text(text.expose()).done());
            }
            Delta::Thinking(text) => {
                self.detail(
                    &Detail::Thinking { text: Some(text.expose()), signature: None },
                    Some(text),
                    out,
                );
            }
            Delta::Signature(signature) => {
                self.detail(&Detail::Thinking { text: None, signature: Some(signature.expose()) }, None, out);
            }
            Delta::Input(piece) if piece.is_empty() => {}
            Delta::Input(piece) => {
                self.no_input = false;
                self.tool(out, self.tools.saturating_sub(1), |json| {
                    json.key("function").object(|json| json.key("arguments").text(piece.expose()).done());
                });
            }
        }
    }

    fn tool(&self, out: &mut Vec<u8>, index: u64, fill: impl FnOnce(&mut Writer)) {
        self.delta(out, |json| {
            json.key("tool_calls").array(|json| {
                json.object(|json| {
                    json.key("index").whole(index);
                    fill(json);
                });
            });
        });
    }

    fn detail(&self, detail: &Detail<'_>, plain: Option<&Content>, out: &mut Vec<u8>) {
        let index = self.thoughts.saturating_sub(1);
        self.delta(out, |json| {
            if let Some(plain) = plain {
                json.key("reasoning").text(plain.expose());
            }
            json.key("reasoning_details").array(|json| reasoning::write(json, index, detail));
        });
    }

    fn delta(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer)) {
        self.choice(out, &Logprobs::default(), fill);
    }

    fn choice(&self, out: &mut Vec<u8>, logprobs: &Logprobs, fill: impl FnOnce(&mut Writer)) {
        self.chunk(out, None, |json| {
            json.object(|json| {
                json.key("index").whole(0).key("delta").object(fill);
                write_logprobs(json, logprobs);
                json.key("finish_reason").null();
            });
        });
    }

    fn chunk(&self, out: &mut Vec<u8>, usage: Option<&Usage>, choices: impl FnOnce(&mut Writer)) {
        let mut json = Writer::new();
        json.object(|json| {
            head(json, &self.facts, "chat.completion.chunk", None);
            json.key("choices").array(choices);
            match usage {
                Some(usage) => write_openai(json.key("usage"), usage),
                None if self.facts.asked_usage => json.key("usage").null().done(),
                None => {}
            }
        });
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&json.into_bytes());
        out.extend_from_slice(b"\n\n");
    }
}
