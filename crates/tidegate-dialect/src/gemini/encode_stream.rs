//! Canonical events into streams of Gemini. There are no signs of life: Gemini's own client takes
//! every line that is no data for a piece of an error. There is no end marker either.

use tidegate_types::usage::Usage;

use super::answer::{End, document, stop_word};
use super::{parts, wire};
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Logprobs, Stop};
use crate::codec::StreamEncoder;
use crate::json::{Kind, Value, Writer};

/// State of such a stream.
pub(super) struct Encoder {
    facts: AnswerFacts,
    /// The open call: its id, its name, its input so far. Calls go out whole.
    call: Option<(String, String, String)>,
    /// A call had an input that is no JSON object.
    malformed: bool,
    /// Log probabilities of the text that comes next.
    logprobs: Logprobs,
}

impl Encoder {
    pub(super) fn new(facts: &AnswerFacts) -> Self {
        Self { facts: facts.clone(), call: None, malformed: false, logprobs: Logprobs::default() }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model: Some(model), .. } => self.facts.model.clone_from(model),
            Event::Open(Block::ToolUse { id, name }) => {
                self.call = Some((id.clone(), name.clone(), String::new()))
            }
            Event::Open(Block::RedactedThinking { data }) => {
                let sealed = wire::seal_redacted(data);
                self.chunk(out, |json| parts::text(json, "", true, Some(&sealed)));
            }
            Event::Delta(Delta::Text(text)) => {
                let logprobs = std::mem::take(&mut self.logprobs);
                self.write(out, &End::default(), &logprobs, |json| {
                    parts::text(json, text.expose(), false, None);
                });
            }
            Event::Logprobs(logprobs) => self.logprobs.append(logprobs),
            Event::Delta(Delta::Thinking(text)) => {
                self.chunk(out, |json| parts::text(json, text.expose(), true, None));
            }
            Event::Delta(Delta::Signature(signature)) => {
                let sealed = wire::seal(signature);
                self.chunk(out, |json| parts::text(json, "", true, Some(&sealed)));
            }
            Event::Delta(Delta::Input(piece)) => {
                if let Some((_, _, input)) = &mut self.call {
                    input.push_str(piece.expose());
                }
            }
            Event::Close => self.call(out),
            _ => {}
        }
    }

    fn finish(&mut self, stop: Stop, _sequence: Option<&Content>, usage: Option<&Usage>, out: &mut Vec<u8>) {
        let word = if self.malformed { "MALFORMED_FUNCTION_CALL" } else { stop_word(stop) };
        // Many a loop reads the first part's text of every chunk.
        let logprobs = std::mem::take(&mut self.logprobs);
        let end = End { usage, finish: Some(word) };
        self.write(out, &end, &logprobs, |json| parts::text(json, "", false, None));
    }
}

impl Encoder {
    fn call(&mut self, out: &mut Vec<u8>) {
        let Some((id, name, mut input)) = self.call.take() else { return };
        if input.trim().is_empty() {
            "{}".clone_into(&mut input);
        }
        if Value::parse(input.as_bytes()).is_ok_and(|input| input.kind() == Kind::Object) {
            self.chunk(out, |json| parts::call(json, &id, &name, input.as_bytes(), None));
        } else {
            self.malformed = true;
        }
    }

    fn chunk(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Writer)) {
        self.write(out, &End::default(), &Logprobs::default(), fill);
    }

    fn write(&self, out: &mut Vec<u8>, end: &End<'_>, logprobs: &Logprobs, fill: impl FnOnce(&mut Writer)) {
        let mut json = Writer::new();
        document(&mut json, &self.facts, &self.facts.model, end, logprobs, fill);
        for piece in [b"data: ".as_slice(), &json.into_bytes(), b"\r\n\r\n"] {
            out.extend_from_slice(piece);
        }
    }
}
