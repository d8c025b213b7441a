//! Streams of Converse into canonical events. Usage comes after the finish, in the last frame.

use super::answer::{sequence, stop, text_of, word_of};
use super::watch::glance;
use crate::AnswerFault;
use crate::canonical::{Block, Delta, Event};
use crate::codec::StreamDecoder;
use crate::json::Value;
use crate::stream::UNREADABLE;

/// What kind of block is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Redacted,
    Tool,
}

/// State of such a stream.
#[derive(Default)]
pub(super) struct Decoder {
    /// Index and kind of the open block.
    open: Option<(u64, Kind)>,
}

impl StreamDecoder for Decoder {
    fn counts_first(&self) -> bool {
        false
    }

    fn decode(&mut self, name: &[u8], data: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let root = Value::parse(if data.is_empty() { b"{}" } else { data }).map_err(|_| UNREADABLE)?;
        match name {
            b"messageStart" => out.push(Event::Start { model: None, usage: None }),
            b"contentBlockStart" => self.start(&root, out)?,
            b"contentBlockDelta" => self.delta(&root, out)?,
            b"contentBlockStop" => {
                if self.open.is_some_and(|(open, _)| Some(open) == index_of(&root)) {
                    self.open = None;
                    out.push(Event::Close);
                }
            }
            b"messageStop" => {
                self.close(out);
                let stop = stop(&word_of(&root, "stopReason", "no stopReason")?)?;
                out.push(Event::Finish { stop, sequence: sequence(&root) });
            }
            _ => {
                let seen = glance(name, &root);
                out.extend(seen.usage.map(Event::Usage));
                out.extend(seen.error.map(Event::Error));
                if seen.ended {
                    out.push(Event::End);
                }
                // New kinds of frames may come at any time; they carry no content of blocks.
            }
        }
        Ok(())
    }
}

impl Decoder {
    fn start(&mut self, root: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        // Blocks of text have no start as a rule, or an empty one.
        let Some(member) = root.get("start").and_then(|start| start.members().next()) else { return Ok(()) };
        if member.key != "toolUse" || member.value.get("type").is_some() {
            return Err(AnswerFault::Untranslatable(
                "a tool's result, an image or a tool that the provider ran",
            ));
        }
        let id = word_of(&member.value, "toolUseId", "a tool call without id")?;
        let name = word_of(&member.value, "name", "a tool call without name")?;
        self.open(root, Kind::Tool, || Block::ToolUse { id, name }, out)
    }

    fn delta(&mut self, root: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let delta = root.get("delta").ok_or(AnswerFault::Malformed("a delta without delta"))?;
        let member = delta.members().next().ok_or(AnswerFault::Malformed("an empty delta"))?;
        let text = |key: &str| text_of(&member.value, key);
        match &*member.key {
            "text" => {
                self.open(root, Kind::Text, || Block::Text, out)?;
                out.extend(text_of(&delta, "text").map(|text| Event::Delta(Delta::Text(text))));
            }
            "toolUse" => {
                if self.open != index_of(root).map(|index| (index, Kind::Tool)) {
                    return Err(AnswerFault::Malformed("input for a tool call that is not open"));
                }
                out.extend(text("input").map(|input| Event::Delta(Delta::Input(input))));
            }
            "reasoningContent" => {
                if let Some(data) = text("redactedContent") {
                    if self.open.is_some_and(|(_, kind)| kind == Kind::Redacted) {
                        return Err(AnswerFault::Untranslatable("redacted reasoning in pieces"));
                    }
                    return self.open(root, Kind::Redacted, || Block::RedactedThinking { data }, out);
                }
                self.open(root, Kind::Thinking, || Block::Thinking, out)?;
                out.extend(text("text").map(|text| Event::Delta(Delta::Thinking(text))));
                out.extend(text("signature").map(|text| Event::Delta(Delta::Signature(text))));
            }
            // What was cited stays behind, the text does not.
            "citation" => {}
            _ => return Err(AnswerFault::Untranslatable("an unknown kind of delta")),
        }
        Ok(())
    }

    fn open(
        &mut self,
        root: &Value<'_>,
        kind: Kind,
        block: impl FnOnce() -> Block,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        let index = index_of(root).ok_or(AnswerFault::Malformed("a block without contentBlockIndex"))?;
        match self.open {
            Some(open) if open == (index, kind) => return Ok(()),
            Some(_) => return Err(AnswerFault::Malformed("a block begins inside another")),
            None => self.open = Some((index, kind)),
        }
        out.push(Event::Open(block()));
        Ok(())
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(Event::Close);
        }
    }
}

fn index_of(root: &Value<'_>) -> Option<u64> {
    root.get("contentBlockIndex").and_then(|index| index.whole())
}
