//! Streams into canonical events.

use super::answer::{Items, stop, text_of, word_of};
use super::{error, sealed, usage};
use crate::canonical::{Block, Delta, Event, Logprobs, Part};
use crate::codec::StreamDecoder;
use crate::json::Value;
use crate::{AnswerFault, Content};

/// The item that is being made.
struct Item {
    index: u64,
    /// A block is open for it.
    block: bool,
    /// It has shown output of its own.
    shown: bool,
    /// The part of it that the last piece belonged to.
    part: Option<(Kind, u64)>,
}

/// Of what a part consists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A summary of the reasoning, or the reasoning itself.
    Summary,
    Reasoning,
}

/// State of such a stream.
#[derive(Default)]
pub(super) struct Decoder {
    item: Option<Item>,
    /// What the items so far say of the end; their parts are gone.
    seen: Items,
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
        if data == b"[DONE]" {
            return Ok(());
        }
        let root = Value::parse(data).map_err(|_| AnswerFault::Malformed("an event that is not JSON"))?;
        if root.get("type").is_none() && root.get("error").is_some_and(|error| !error.is_null()) {
            out.push(Event::Error(error::read(&root)));
            return Ok(());
        }
        match word_of(&root, "type", "an event without type")?.as_str() {
            "response.created" => {
                let model = root.get("response").and_then(|response| text_of(&response, "model"));
                out.push(Event::Start { model: model.map(Content::into_string), usage: None });
            }
            "response.output_item.added" => self.begin(&root, out)?,
            "response.output_text.delta" => self.grow(&root, Kind::Text, out)?,
            "response.refusal.delta" => {
                self.seen.refused = true;
                self.grow(&root, Kind::Text, out)?;
            }
            "response.reasoning_summary_text.delta" => self.grow(&root, Kind::Summary, out)?,
            "response.reasoning_text.delta" => self.grow(&root, Kind::Reasoning, out)?,
            "response.function_call_arguments.delta" => {
                let piece = piece(&root)?;
                self.item(&root)?.shown |= !piece.is_empty();
                out.push(Event::Delta(Delta::Input(piece)));
            }
            "response.output_item.done" => self.end(&root, out)?,
            "response.completed" | "response.incomplete" => self.finish(&root, out)?,
            "response.failed" | "response.cancelled" => {
                out.push(Event::Error(error::read(&root.get("response").unwrap_or(root))));
            }
            "error" => out.push(Event::Error(error::read(&root))),
            // All else repeats what deltas said, or tells of progress.
            _ => {}
        }
        Ok(())
    }
}

fn piece(root: &Value<'_>) -> Result<Content, AnswerFault> {
    text_of(root, "delta").ok_or(AnswerFault::Malformed("a delta without its text"))
}

fn tell(logprobs: Logprobs, out: &mut Vec<Event>) {
    if !logprobs.is_empty() {
        out.push(Event::Logprobs(logprobs));
    }
}

fn index_of(root: &Value<'_>, key: &str) -> Result<u64, AnswerFault> {
    root.get(key).and_then(|index| index.whole()).ok_or(AnswerFault::Malformed("an event without index"))
}

impl Item {
    fn open(&mut self, block: impl FnOnce() -> Block, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.block, true) {
            out.push(Event::Open(block()));
        }
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.block) {
            out.push(Event::Close);
        }
    }
}

impl Decoder {
    /// The open item, which the event must belong to.
    fn item(&mut self, root: &Value<'_>) -> Result<&mut Item, AnswerFault> {
        let index = index_of(root, "output_index")?;
        let open = self.item.as_mut().filter(|item| item.index == index);
        open.ok_or(AnswerFault::Malformed("a piece of an item that is not open"))
    }

    fn begin(&mut self, root: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let item = root.get("item").ok_or(AnswerFault::Malformed("a start without item"))?;
        let mut new = Item { index: index_of(root, "output_index")?, block: false, shown: false, part: None };
        if self.item.is_some() {
            return Err(AnswerFault::Malformed("an item begins inside another"));
        }
        match word_of(&item, "type", "an item without type")?.as_str() {
            "message" | "reasoning" => {}
            "function_call" => {
                let id = word_of(&item, "call_id", "a call without call_id")?;
                let name = word_of(&item, "name", "a call without name")?;
                self.seen.called = true;
                new.open(|| Block::ToolUse { id, name }, out);
            }
            _ => return Err(AnswerFault::Untranslatable("an unknown kind of item")),
        }
        self.item = Some(new);
        Ok(())
    }

    fn grow(&mut self, root: &Value<'_>, kind: Kind, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let piece = piece(root)?;
        let index = index_of(root, if kind == Kind::Summary { "summary_index" } else { "content_index" })?;
        let item = self.item(root)?;
        let last = item.part;
        // Some services show reasoning and its summary: what comes first is shown.
        if piece.is_empty() || last.is_some_and(|(other, _)| other != kind && kind != Kind::Text) {
            return Ok(());
        }
        item.part = Some((kind, index));
        let new_part = last.is_some_and(|(_, last)| last != index);
        item.shown = true;
        if kind == Kind::Text {
            if new_part {
                item.close(out);
            }
            item.open(|| Block::Text, out);
            tell(Logprobs::read(root.get("logprobs")), out);
            out.push(Event::Delta(Delta::Text(piece)));
        } else {
            item.open(|| Block::Thinking, out);
            if new_part {
                out.push(Event::Delta(Delta::Thinking("\n\n".into())));
            }
            out.push(Event::Delta(Delta::Thinking(piece)));
        }
        Ok(())
    }

    fn end(&mut self, root: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let done = root.get("item").ok_or(AnswerFault::Malformed("an end without item"))?;
        self.item(root)?;
        let Some(mut item) = self.item.take() else { return Ok(()) };
        let sealed = text_of(&done, "encrypted_content").filter(|sealed| !sealed.is_empty());
        if !item.shown {
            self.whole(&done, &mut item, out)?;
        } else if let Some(sealed) = sealed {
            let id = text_of(&done, "id").unwrap_or_default();
            let signature = sealed::signature(id.expose(), sealed.expose());
            out.push(Event::Delta(Delta::Signature(signature)));
        }
        item.close(out);
        Ok(())
    }

    /// An item that showed nothing before its end.
    fn whole(&mut self, done: &Value<'_>, item: &mut Item, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        self.seen.take(done)?;
        let mut logprobs = std::mem::take(&mut self.seen.logprobs);
        for part in self.seen.parts.drain(..) {
            match part {
                Part::Text { text, .. } => {
                    item.open(|| Block::Text, out);
                    tell(std::mem::take(&mut logprobs), out);
                    out.push(Event::Delta(Delta::Text(text)));
                    item.close(out);
                }
                Part::Thinking { text, signature } => {
                    item.open(|| Block::Thinking, out);
                    let text = Some(text).filter(|text| !text.is_empty());
                    out.extend(text.map(|text| Event::Delta(Delta::Thinking(text))));
                    out.extend(signature.map(|signature| Event::Delta(Delta::Signature(signature))));
                }
                Part::RedactedThinking { data } => item.open(|| Block::RedactedThinking { data }, out),
                Part::ToolUse { input, .. } => out.push(Event::Delta(Delta::Input(input.text().into()))),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self, root: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let response = root.get("response").ok_or(AnswerFault::Malformed("an end without response"))?;
        if let Some(mut item) = self.item.take() {
            item.close(out);
        }
        let stop = stop(&response, &self.seen)?;
        out.extend(usage::read(&response).map(Event::Usage));
        out.extend([Event::Finish { stop, sequence: None }, Event::End]);
        Ok(())
    }
}
