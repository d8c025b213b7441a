//! Streams of Anthropic messages into canonical events.

use super::answer::{stop, text_of, word_of};
use crate::canonical::{Block, Delta, Event};
use crate::codec::StreamDecoder;
use crate::json::Value;
use crate::refusal::read_value;
use crate::usage::AnthropicCounts;
use crate::{AnswerFault, Content};

/// State of such a stream.
#[derive(Default)]
pub(crate) struct Decoder {
    counts: AnthropicCounts,
    /// Index of the open block.
    open: Option<u64>,
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
        match word_of(&root, "type", "an event without type")?.as_str() {
            "message_start" => {
                let message = root.get("message").ok_or(AnswerFault::Malformed("a start without message"))?;
                message.get("usage").into_iter().for_each(|usage| self.counts.update(&usage));
                let model = text_of(&message, "model").map(Content::into_string);
                out.push(Event::Start { model, usage: self.counts.usage() });
            }
            "content_block_start" => self.start(&root, out)?,
            "content_block_delta" => self.delta(&root, out)?,
            "content_block_stop" if self.open.take().is_some() => {
                out.push(Event::Close);
            }
            "message_delta" => self.finish(&root, out)?,
            "message_stop" => out.push(Event::End),
            "ping" => out.push(Event::Ping),
            "error" => out.push(Event::Error(read_value(&root))),
            // New kinds of events may come at any time, says the provider; they carry no content of blocks.
            _ => {}
        }
        Ok(())
    }
}

impl Decoder {
    fn start(&mut self, root: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let block = root.get("content_block").ok_or(AnswerFault::Malformed("a start without block"))?;
        if self.open.replace(index_of(root)?).is_some() {
            return Err(AnswerFault::Malformed("a block begins inside another"));
        }
        let begun = |key| text_of(&block, key).filter(|text| !text.is_empty());
        match word_of(&block, "type", "a block without type")?.as_str() {
            "text" => {
                out.push(Event::Open(Block::Text));
                out.extend(begun("text").map(|text| Event::Delta(Delta::Text(text))));
            }
            "thinking" => {
                out.push(Event::Open(Block::Thinking));
                out.extend(begun("thinking").map(|text| Event::Delta(Delta::Thinking(text))));
            }
            "redacted_thinking" => {
                out.push(Event::Open(Block::RedactedThinking { data: begun("data").unwrap_or_default() }));
            }
            "tool_use" => {
                let id = word_of(&block, "id", "a tool call without id")?;
                let name = word_of(&block, "name", "a tool call without name")?;
                out.push(Event::Open(Block::ToolUse { id, name }));
                // Normally empty here, and streamed as deltas.
                let input = block.get("input").filter(|input| input.members().next().is_some());
                let input = input.map(|input| Content::new(String::from_utf8_lossy(input.raw())));
                out.extend(input.map(|input| Event::Delta(Delta::Input(input))));
            }
            _ => return Err(AnswerFault::Untranslatable("an unknown kind of content block")),
        }
        Ok(())
    }

    fn delta(&mut self, root: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if self.open != Some(index_of(root)?) {
            return Err(AnswerFault::Malformed("a delta for a block that is not open"));
        }
        let delta = root.get("delta").ok_or(AnswerFault::Malformed("a delta without delta"))?;
        let text = |key| text_of(&delta, key).ok_or(AnswerFault::Malformed("a delta without its text"));
        out.push(Event::Delta(match word_of(&delta, "type", "a delta without type")?.as_str() {
            "text_delta" => Delta::Text(text("text")?),
            "thinking_delta" => Delta::Thinking(text("thinking")?),
            "signature_delta" => Delta::Signature(text("signature")?),
            "input_json_delta" => Delta::Input(text("partial_json")?),
            _ => return Err(AnswerFault::Untranslatable("an unknown kind of delta")),
        }));
        Ok(())
    }

    fn finish(&mut self, root: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let delta = root.get("delta");
        let reason = delta.and_then(|delta| text_of(&delta, "stop_reason"));
        match root.get("usage") {
            usage if reason.is_some() => self.counts.end(usage),
            usage => usage.into_iter().for_each(|usage| self.counts.update(&usage)),
        }
        out.extend(self.counts.usage().map(Event::Usage));
        if let Some(word) = reason {
            let sequence = delta.and_then(|delta| text_of(&delta, "stop_sequence"));
            out.push(Event::Finish { stop: stop(word.expose())?, sequence });
        }
        Ok(())
    }
}

fn index_of(root: &Value<'_>) -> Result<u64, AnswerFault> {
    root.get("index").and_then(|index| index.whole()).ok_or(AnswerFault::Malformed("a block without index"))
}
