//! Canonical events into streams of Gemini. There are no signs of life: Gemini's own client takes
//! every line that is no data for a piece of an error. There is no end marker either.

use tidegate_types::usage::Usage;

use super::answer::{document, stop_word};
use super::{parts, wire};
use crate::Content;
use crate::answer::AnswerFacts;
use crate::canonical::{Block, Delta, Event, Stop};
use crate::codec::StreamEncoder;
use crate::json::{Kind, Value, Writer};

/// State of such a stream.
pub(super) struct Encoder {
    facts: AnswerFacts,
    /// The open call: its id, its name, its input so far. Calls go out whole.
    call: Option<(String, String, String)>,
    /// A call had an input that is no JSON object.
    malformed: bool,
}

impl Encoder {
    pub(super) fn new(facts: &AnswerFacts) -> Self {
        Self { facts: facts.clone(), call: None, malformed: false }
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
                self.chunk(out, |json| parts::text(json, text.expose(), false, None))
            }
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
        self.write(out, usage, Some(word), |json| parts::text(json, "", false, None));
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
        self.write(out, None, None, fill);
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        usage: Option<&Usage>,
        finish: Option<&str>,
        fill: impl FnOnce(&mut Writer),
    ) {
        let mut json = Writer::new();
        document(&mut json, &self.facts, &self.facts.model, usage, finish, fill);
        for piece in [b"data: ".as_slice(), &json.into_bytes(), b"\r\n\r\n"] {
            out.extend_from_slice(piece);
        }
    }
}
