//! Whole answers, both ways.

use super::output::{
    Called, State, status_of, stem, write_call, write_message, write_reasoning, write_response,
};
use super::{sealed, usage};
use crate::answer::AnswerFacts;
use crate::canonical::{Answer, Logprobs, Part, Stop};
use crate::json::{Value, Writer};
use crate::openai::messages::object;
use crate::{AnswerFault, Content};

/// Decodes a whole answer.
pub(super) fn decode(root: &Value<'_>) -> Result<Answer, AnswerFault> {
    let mut items = Items::default();
    for item in root.get("output").ok_or(AnswerFault::Malformed("no output"))?.elements() {
        items.take(&item)?;
    }
    Ok(Answer {
        model: text_of(root, "model").map(Content::into_string),
        stop: stop(root, &items)?,
        parts: items.parts,
        stop_sequence: None,
        usage: usage::read(root),
        logprobs: items.logprobs,
    })
}

/// A string member.
pub(super) fn text_of(value: &Value<'_>, key: &str) -> Option<Content> {
    value.get(key).and_then(|value| value.text()).map(Content::new)
}

/// A string member that must be there.
pub(super) fn word_of(value: &Value<'_>, key: &str, why: &'static str) -> Result<String, AnswerFault> {
    text_of(value, key).map(Content::into_string).ok_or(AnswerFault::Malformed(why))
}

/// Why the model stopped. There is no word for it: what the items show decides.
pub(super) fn stop(response: &Value<'_>, items: &Items) -> Result<Stop, AnswerFault> {
    let reason = || response.get("incomplete_details").and_then(|details| text_of(&details, "reason"));
    match word_of(response, "status", "no status")?.as_str() {
        "completed" if items.called => Ok(Stop::ToolUse),
        "completed" if items.refused => Ok(Stop::Refusal),
        "completed" => Ok(Stop::EndTurn),
        "incomplete" => match reason().as_ref().map(Content::expose) {
            Some("max_output_tokens") => Ok(Stop::Limit),
            Some("content_filter") => Ok(Stop::Refusal),
            // Taking an unknown word for an end would show a broken answer as a complete one.
            _ => Err(AnswerFault::Malformed("unknown reason of an incomplete answer")),
        },
        "failed" | "cancelled" => Err(AnswerFault::Reported),
        _ => Err(AnswerFault::Untranslatable("an answer that is not ready")),
    }
}

/// Output items as parts.
#[derive(Default)]
pub(super) struct Items {
    pub(super) parts: Vec<Part>,
    /// Of the texts among them.
    pub(super) logprobs: Logprobs,
    /// A function is called.
    pub(super) called: bool,
    /// The model refused to answer.
    pub(super) refused: bool,
}

impl Items {
    /// Takes a whole item.
    pub(super) fn take(&mut self, item: &Value<'_>) -> Result<(), AnswerFault> {
        match word_of(item, "type", "an item without type")?.as_str() {
            "message" => {
                for part in item.get("content").iter().flat_map(Value::elements) {
                    self.message_part(&part)?;
                }
            }
            "reasoning" => self.parts.extend(reasoning(item)),
            "function_call" => {
                self.called = true;
                self.parts.push(call(item)?);
            }
            _ => return Err(AnswerFault::Untranslatable("an unknown kind of item")),
        }
        Ok(())
    }

    fn message_part(&mut self, part: &Value<'_>) -> Result<(), AnswerFault> {
        let key = match word_of(part, "type", "a part without type")?.as_str() {
            "output_text" => "text",
            "refusal" => "refusal",
            _ => return Err(AnswerFault::Untranslatable("an unknown kind of part")),
        };
        self.refused |= key == "refusal";
        let text = text_of(part, key).ok_or(AnswerFault::Malformed("a part without its text"))?;
        self.logprobs.append(&Logprobs::read(part.get("logprobs")));
        if !text.is_empty() {
            self.parts.push(Part::Text { text, cache: None });
        }
        Ok(())
    }
}

fn reasoning(item: &Value<'_>) -> Option<Part> {
    let texts = |key: &str| -> Vec<String> {
        let parts = item.get(key);
        let parts = parts.iter().flat_map(Value::elements);
        parts.filter_map(|part| text_of(&part, "text")).map(Content::into_string).collect()
    };
    // Some services show the reasoning itself; where both are there, the summary is what is meant to be shown.
    let said =
        Some(texts("summary")).filter(|summary| !summary.is_empty()).unwrap_or_else(|| texts("content"));
    let (id, sealed) = (text_of(item, "id").unwrap_or_default(), text_of(item, "encrypted_content"));
    sealed::open(id.expose(), said.join("\n\n"), sealed.as_ref().map(Content::expose))
}

fn call(item: &Value<'_>) -> Result<Part, AnswerFault> {
    let arguments = text_of(item, "arguments").unwrap_or_default();
    Ok(Part::ToolUse {
        id: word_of(item, "call_id", "a call without call_id")?,
        name: word_of(item, "name", "a call without name")?,
        input: object(arguments.expose())
            .ok_or(AnswerFault::Malformed("arguments that are no JSON object"))?,
        cache: None,
    })
}

/// Encodes a whole answer. Texts that follow each other are one message.
pub(super) fn encode(answer: &Answer, facts: &AnswerFacts) -> Vec<u8> {
    let mut facts = facts.clone();
    if let Some(model) = &answer.model {
        facts.model.clone_from(model);
    }
    let (status, reason) = status_of(answer.stop);
    let mut json = Writer::new();
    let state = State { status, reason, usage: answer.usage.as_ref() };
    write_response(&mut json, &facts, &state, |json| {
        let mut parts = answer.parts.iter().peekable();
        // They do not say to which of several texts they belong: the first has them all.
        let mut logprobs = answer.logprobs.clone();
        let mut index = 0;
        while let Some(part) = parts.next() {
            let id = |kind: &str| format!("{kind}_{}_{index}", stem(&facts));
            match part {
                Part::Text { text, .. } => {
                    let mut texts = vec![(text.expose().to_owned(), std::mem::take(&mut logprobs))];
                    while let Some(Part::Text { text, .. }) = parts.next_if(|part| is_text(part)) {
                        texts.push((text.expose().to_owned(), Logprobs::default()));
                    }
                    let status = if parts.peek().is_none() { status } else { "completed" };
                    write_message(json, &id("msg"), status, &texts);
                }
                Part::Thinking { text, signature } => {
                    let sealed = signature.as_ref().map(sealed::seal);
                    write_reasoning(json, &id("rs"), "completed", text.expose(), sealed.as_deref());
                }
                Part::RedactedThinking { data } => {
                    write_reasoning(json, &id("rs"), "completed", "", Some(&sealed::seal_redacted(data)));
                }
                Part::ToolUse { id: call_id, name, input, .. } => {
                    let called = Called { call_id, name, arguments: &input.text() };
                    write_call(json, &id("fc"), "completed", &called);
                }
                // No answer has these; decoders do not make them.
                _ => {}
            }
            index += 1;
        }
    });
    json.into_bytes()
}

fn is_text(part: &Part) -> bool {
    matches!(part, Part::Text { .. })
}
