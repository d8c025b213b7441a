//! Streams of OpenAI chat completions into canonical events.

use std::borrow::Cow;

use super::answer::{logprobs, stop};
use super::watch::glance;
use crate::canonical::{Block, Delta, Event, Logprobs};
use crate::codec::StreamDecoder;
use crate::json::Value;
use crate::{AnswerFault, Content};

/// What is open.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thinking,
    /// A call of a tool: its index, and its id as the provider wrote it.
    Tool(u64, String),
}

/// State of such a stream.
pub(crate) struct Decoder {
    started: bool,
    open: Open,
    /// Tool calls begun so far.
    tools: u64,
    finished: bool,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { started: false, open: Open::Nothing, tools: 0, finished: false }
    }
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
        let root = Value::parse(data).map_err(|_| AnswerFault::Malformed("an event that is not JSON"))?;
        let seen = glance(&root);
        if let Some(error) = seen.error {
            out.push(Event::Error(error));
            return Ok(());
        }
        if let Some(choices) = root.get("choices") {
            for choice in choices.elements() {
                if choice.get("index").and_then(|index| index.whole()).unwrap_or(0) != 0 {
                    return Err(AnswerFault::Untranslatable("more than one choice"));
                }
                self.start(&root, out);
                self.choice(&choice, out)?;
            }
        }
        out.extend(seen.usage.map(Event::Usage));
        Ok(())
    }
}

impl Decoder {
    fn start(&mut self, root: &Value<'_>, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            let model = root.get("model").and_then(|model| model.text()).map(|model| model.into_owned());
            out.push(Event::Start { model, usage: None });
        }
    }

    fn choice(&mut self, choice: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let mut logprobs = logprobs(choice);
        if let Some(delta) = choice.get("delta") {
            let text =
                |key: &str| delta.get(key).and_then(|value| value.text()).filter(|text| !text.is_empty());
            if let Some(thinking) = text("reasoning_content").or_else(|| text("reasoning")) {
                self.switch(Open::Thinking, || Block::Thinking, out)?;
                out.push(Event::Delta(Delta::Thinking(Content::new(thinking))));
            }
            for key in ["content", "refusal"] {
                if let Some(text) = text(key) {
                    self.switch(Open::Text, || Block::Text, out)?;
                    tell(std::mem::take(&mut logprobs), out);
                    out.push(Event::Delta(Delta::Text(Content::new(text))));
                }
            }
            if let Some(calls) = delta.get("tool_calls") {
                for call in calls.elements() {
                    self.tool_call(&call, out)?;
                }
            }
            if delta.get("function_call").is_some_and(|call| !call.is_null()) {
                return Err(AnswerFault::Untranslatable("function_call"));
            }
        }
        if self.open == Open::Text {
            tell(logprobs, out);
        }
        if let Some(reason) = choice.get("finish_reason").and_then(|reason| reason.text())
            && !self.finished
        {
            self.finished = true;
            self.close(out);
            out.push(Event::Finish { stop: stop(&reason)?, sequence: None });
        }
        Ok(())
    }

    fn tool_call(&mut self, call: &Value<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let function = call.get("function");
        let name = some_text(function.and_then(|function| function.get("name")));
        let id = some_text(call.get("id"));
        // Some services leave the index out, or give 0 to every call: then a new id tells.
        let index = call.get("index").and_then(|index| index.whole()).unwrap_or(self.tools.saturating_sub(1));
        let same = match &self.open {
            Open::Tool(open, open_id) => {
                *open == index && id.as_ref().is_none_or(|id| *id == open_id.as_str())
            }
            _ => false,
        };
        if !same {
            let Some(name) = name else {
                return Err(AnswerFault::Malformed("pieces of several tool calls are mixed"));
            };
            let own = id.map_or_else(|| format!("call_{}", self.tools), |id| id.into_owned());
            let block = Block::ToolUse { id: own.clone(), name: name.into_owned() };
            self.tools += 1;
            self.switch(Open::Tool(index, own), || block, out)?;
        }
        if let Some(arguments) = some_text(function.and_then(|function| function.get("arguments"))) {
            out.push(Event::Delta(Delta::Input(Content::new(arguments))));
        }
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
        if self.open != to {
            self.close(out);
            out.push(Event::Open(block()));
            self.open = to;
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.open, Open::Nothing) != Open::Nothing {
            out.push(Event::Close);
        }
    }
}

fn tell(logprobs: Logprobs, out: &mut Vec<Event>) {
    if !logprobs.is_empty() {
        out.push(Event::Logprobs(logprobs));
    }
}

/// A text that is not empty.
fn some_text(value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    value.and_then(|value| value.text()).filter(|text| !text.is_empty())
}
