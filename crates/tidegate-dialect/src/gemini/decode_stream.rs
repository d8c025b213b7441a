//! Streams of Gemini into canonical events. Every chunk is an answer of its own; the stream just
//! ends after the one that says why.

use super::answer::{PartReader, blocked, stop, text_of};
use super::logprobs;
use super::usage::read_usage;
use crate::AnswerFault;
use crate::canonical::{Block, Delta, Event, Logprobs, Part, Stop};
use crate::codec::StreamDecoder;
use crate::json::Value;
use crate::refusal::read_value;

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thinking,
}

/// State of such a stream.
pub(super) struct Decoder {
    reader: Option<PartReader>,
    open: Open,
    finished: bool,
    /// Log probabilities of the text that comes next.
    logprobs: Logprobs,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { reader: None, open: Open::Nothing, finished: false, logprobs: Logprobs::default() }
    }
}

impl StreamDecoder for Decoder {
    fn counts_first(&self) -> bool {
        true
    }

    fn decode(&mut self, _name: &[u8], data: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if data.is_empty() {
            out.push(Event::Ping);
            return Ok(());
        }
        let root = Value::parse(data).map_err(|_| AnswerFault::Malformed("an event that is not JSON"))?;
        if root.get("error").is_some_and(|error| !error.is_null()) {
            out.push(Event::Error(read_value(&root)));
            return Ok(());
        }
        let usage = root.get("usageMetadata").and_then(|usage| read_usage(&usage));
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                out.push(Event::Start { model: text_of(&root, "modelVersion"), usage });
                PartReader::new(&root)
            }
        };
        let mut reason = blocked(&root).then_some(Stop::Refusal);
        for candidate in root.get("candidates").into_iter().flat_map(|all| all.elements()) {
            if candidate.get("index").and_then(|index| index.whole()).unwrap_or(0) != 0 {
                return Err(AnswerFault::Untranslatable("more than one candidate"));
            }
            self.logprobs.append(&logprobs::read(&candidate));
            let parts = candidate.get("content").and_then(|content| content.get("parts"));
            for part in parts.into_iter().flat_map(|parts| parts.elements()) {
                self.part(&mut reader, &part, out)?;
            }
            if self.open == Open::Text {
                self.tell(out);
            }
            if let Some(word) = text_of(&candidate, "finishReason") {
                reason = Some(stop(&word, reader.calls > 0)?);
            }
        }
        self.reader = Some(reader);
        if reason.is_some() || self.finished {
            // Counts before the finish are not the whole.
            out.extend(usage.map(Event::Usage));
        }
        if let (Some(stop), false) = (reason, self.finished) {
            self.finished = true;
            self.close(out);
            out.push(Event::Finish { stop, sequence: None });
        }
        Ok(())
    }
}

impl Decoder {
    fn part(
        &mut self,
        reader: &mut PartReader,
        part: &Value<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        let mut parts = Vec::new();
        reader.read(part, &mut parts)?;
        if self.finished && !parts.is_empty() {
            return Err(AnswerFault::Malformed("output after the finish"));
        }
        for part in parts {
            match part {
                Part::Text { text, .. } => {
                    self.switch(Open::Text, Block::Text, out);
                    self.tell(out);
                    out.push(Event::Delta(Delta::Text(text)));
                }
                Part::Thinking { text, signature } => {
                    if text.is_empty() {
                        // The signature of what follows, a block of its own.
                        self.close(out);
                    }
                    self.switch(Open::Thinking, Block::Thinking, out);
                    if !text.is_empty() {
                        out.push(Event::Delta(Delta::Thinking(text)));
                    }
                    if let Some(signature) = signature {
                        out.push(Event::Delta(Delta::Signature(signature)));
                        self.close(out);
                    }
                }
                Part::ToolUse { id, name, input, .. } => {
                    self.close(out);
                    out.push(Event::Open(Block::ToolUse { id, name }));
                    out.push(Event::Delta(Delta::Input(input.text().into())));
                    out.push(Event::Close);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn tell(&mut self, out: &mut Vec<Event>) {
        if !self.logprobs.is_empty() {
            out.push(Event::Logprobs(std::mem::take(&mut self.logprobs)));
        }
    }

    fn switch(&mut self, to: Open, block: Block, out: &mut Vec<Event>) {
        if self.open != to {
            self.close(out);
            out.push(Event::Open(block));
            self.open = to;
        }
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.open, Open::Nothing) != Open::Nothing {
            out.push(Event::Close);
        }
    }
}
