//! Streams of Cohere's chat into canonical events.

use super::answer::{some_text, stop};
use super::watch::glance;
use crate::canonical::{Block, Delta, Event};
use crate::codec::StreamDecoder;
use crate::json::Value;
use crate::stream::UNREADABLE;
use crate::{AnswerFault, Content};

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text(u64),
    Thinking(u64),
    Plan,
    Tool(u64),
}

/// State of such a stream.
#[derive(Default)]
pub(super) struct Decoder {
    open: Option<Open>,
    finished: bool,
}

impl StreamDecoder for Decoder {
    fn counts_first(&self) -> bool {
        false
    }

    fn decode(&mut self, _name: &[u8], data: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if data.is_empty() {
            out.push(Event::Ping);
            return Ok(());
        }
        if data == b"[DONE]" {
            out.push(Event::End);
            return Ok(());
        }
        let root = Value::parse(data).map_err(|_| UNREADABLE)?;
        let seen = glance(&root);
        if let Some(error) = seen.error {
            out.push(Event::Error(error));
            return Ok(());
        }
        let delta = root.get("delta");
        let message = delta.and_then(|delta| delta.get("message"));
        let inner = |key: &str| message.and_then(|message| message.get(key));
        match root.get("type").and_then(|kind| kind.text()).as_deref() {
            Some("message-start") => out.push(Event::Start { model: None, usage: None }),
            Some("content-start" | "content-delta") => {
                self.content(index_of(&root), inner("content"), out)?
            }
            Some("tool-plan-delta") => {
                if let Some(plan) = some_text(inner("tool_plan")) {
                    self.switch(Open::Plan, || Block::Thinking, out)?;
                    out.push(Event::Delta(Delta::Thinking(plan)));
                }
            }
            Some("tool-call-start") => self.tool(index_of(&root), inner("tool_calls"), out)?,
            Some("tool-call-delta") => self.input(index_of(&root), inner("tool_calls"), out)?,
            Some("content-end" | "tool-call-end") => self.close(out),
            Some("message-end") => {
                self.close(out);
                self.finished = true;
                let reason = delta.and_then(|delta| some_text(delta.get("finish_reason")));
                let reason = reason.ok_or(AnswerFault::Malformed("no finish_reason"))?;
                out.push(Event::Finish { stop: stop(reason.expose())?, sequence: None });
                out.extend(seen.usage.map(Event::Usage));
                out.push(Event::End);
            }
            // Citations, and what may come new; the text is carried.
            _ => {}
        }
        Ok(())
    }
}

impl Decoder {
    fn content(
        &mut self,
        index: u64,
        content: Option<Value<'_>>,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        let Some(content) = content else { return Ok(()) };
        if let Some(text) = some_text(content.get("text")) {
            self.switch(Open::Text(index), || Block::Text, out)?;
            out.push(Event::Delta(Delta::Text(text)));
        }
        if let Some(thought) = some_text(content.get("thinking")) {
            self.switch(Open::Thinking(index), || Block::Thinking, out)?;
            out.push(Event::Delta(Delta::Thinking(thought)));
        }
        Ok(())
    }

    fn tool(&mut self, index: u64, call: Option<Value<'_>>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let function = call.and_then(|call| call.get("function"));
        let name = some_text(function.and_then(|function| function.get("name")));
        let name = name.ok_or(AnswerFault::Malformed("a tool call without a name"))?.into_string();
        let id = some_text(call.and_then(|call| call.get("id"))).map(Content::into_string);
        self.close(out);
        let id = id.unwrap_or_else(|| format!("call_{index}"));
        self.switch(Open::Tool(index), || Block::ToolUse { id, name }, out)?;
        self.input(index, call, out)
    }

    fn input(
        &mut self,
        index: u64,
        call: Option<Value<'_>>,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        if self.open != Some(Open::Tool(index)) {
            return Err(AnswerFault::Malformed("input for a tool call that is not open"));
        }
        let function = call.and_then(|call| call.get("function"));
        let piece = some_text(function.and_then(|function| function.get("arguments")));
        out.extend(piece.map(|piece| Event::Delta(Delta::Input(piece))));
        Ok(())
    }

    fn switch(
        &mut self,
        to: Open,
        block: impl FnOnce() -> Block,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        if self.finished {
            return Err(AnswerFault::Malformed("output after the finish"));
        }
        if self.open != Some(to) {
            self.close(out);
            out.push(Event::Open(block()));
            self.open = Some(to);
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(Event::Close);
        }
    }
}

fn index_of(root: &Value<'_>) -> u64 {
    root.get("index").and_then(|index| index.whole()).unwrap_or(0)
}
