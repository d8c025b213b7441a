//! Whole answers of Gemini, both ways.

use super::usage::{read_usage, write_usage};
use super::{logprobs, parts, wire};
use crate::answer::AnswerFacts;
use crate::canonical::{Answer, Json, Logprobs, Part, Stop, signature};
use crate::json::{Kind, Value, Writer};
use crate::{AnswerFault, Content};

use tidegate_types::usage::Usage;

/// Why the model stopped. Calls of functions end with `STOP`, too.
pub(super) fn stop(word: &str, called: bool) -> Result<Stop, AnswerFault> {
    match word {
        "STOP" if called => Ok(Stop::ToolUse),
        "STOP" => Ok(Stop::EndTurn),
        "MAX_TOKENS" => Ok(Stop::Limit),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Ok(Stop::Refusal),
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" => {
            Err(AnswerFault::Malformed("a tool call that the provider could not read"))
        }
        "MISSING_THOUGHT_SIGNATURE" => Err(AnswerFault::Malformed("a thought signature is missing")),
        // Taking an unknown word for an end would show a broken answer as a complete one.
        _ => Err(AnswerFault::Malformed("unknown finishReason")),
    }
}

pub(super) fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn | Stop::Sequence | Stop::ToolUse => "STOP",
        Stop::Limit | Stop::Window => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
    }
}

/// A string member.
pub(super) fn text_of(value: &Value<'_>, key: &str) -> Option<String> {
    value.get(key).and_then(|value| value.text()).map(|text| text.into_owned())
}

/// Whether the prompt was blocked: then there is no candidate.
pub(super) fn blocked(root: &Value<'_>) -> bool {
    root.get("promptFeedback")
        .and_then(|feedback| feedback.get("blockReason"))
        .is_some_and(|why| !why.is_null())
}

/// Decodes a whole answer.
pub(super) fn decode(root: &Value<'_>) -> Result<Answer, AnswerFault> {
    let mut answer = Answer {
        model: text_of(root, "modelVersion"),
        parts: Vec::new(),
        stop: Stop::Refusal,
        stop_sequence: None,
        usage: root.get("usageMetadata").and_then(|usage| read_usage(&usage)),
        logprobs: Logprobs::default(),
    };
    let mut candidates = root.get("candidates").into_iter().flat_map(|all| all.elements());
    let Some(candidate) = candidates.next() else {
        return if blocked(root) { Ok(answer) } else { Err(AnswerFault::Malformed("no candidates")) };
    };
    if candidates.next().is_some() {
        return Err(AnswerFault::Untranslatable("more than one candidate"));
    }
    let mut reader = PartReader::new(root);
    let content = candidate.get("content").and_then(|content| content.get("parts"));
    for part in content.into_iter().flat_map(|parts| parts.elements()) {
        reader.read(&part, &mut answer.parts)?;
    }
    let word = text_of(&candidate, "finishReason").ok_or(AnswerFault::Malformed("no finishReason"))?;
    answer.logprobs = logprobs::read(&candidate);
    answer.stop = stop(&word, reader.calls > 0)?;
    Ok(answer)
}

/// Reads the parts of one answer, and names its calls where the provider does not.
pub(super) struct PartReader {
    /// Letters and digits of the answer's id, so that names differ between answers.
    answer: String,
    pub(super) calls: u64,
}

impl PartReader {
    pub(super) fn new(root: &Value<'_>) -> Self {
        Self { answer: text_of(root, "responseId").map(|id| plain(&id)).unwrap_or_default(), calls: 0 }
    }

    /// One part of Gemini's may be two: its signature comes first, as a thought without text.
    pub(super) fn read(&mut self, part: &Value<'_>, out: &mut Vec<Part>) -> Result<(), AnswerFault> {
        let text = text_of(part, "text");
        let mark = |text: String| signature::mark(signature::GEMINI, &text);
        let signature = text_of(part, "thoughtSignature").filter(|text| !text.is_empty()).map(mark);
        if part.get("thought").and_then(|thought| thought.bool()) == Some(true) {
            let text = text.ok_or(AnswerFault::Untranslatable("a thought that is no text"))?;
            if !text.is_empty() || signature.is_some() {
                out.push(Part::Thinking { text: text.into(), signature });
            }
            return Ok(());
        }
        if signature.is_some() {
            out.push(Part::Thinking { text: Content::default(), signature });
        }
        match (text, part.get("functionCall")) {
            (Some(text), _) if text.is_empty() => {}
            (Some(text), _) => out.push(Part::Text { text: text.into(), cache: None }),
            (None, Some(call)) => out.push(self.call(&call)?),
            // A part may be nothing but a signature.
            (None, None) if part.members().all(|member| member.key == "thoughtSignature") => {}
            (None, None) => {
                return Err(AnswerFault::Untranslatable("a part that is neither text nor a call"));
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &Value<'_>) -> Result<Part, AnswerFault> {
        if call.get("willContinue").and_then(|more| more.bool()) == Some(true)
            || call.get("partialArgs").is_some()
        {
            return Err(AnswerFault::Untranslatable("a call of a function in pieces"));
        }
        let input = match call.get("args").filter(|args| !args.is_null()) {
            None => Json::of_valid(*b"{}"),
            Some(args) if args.kind() == Kind::Object => Json::from(&args),
            Some(_) => return Err(AnswerFault::Malformed("args that are no object")),
        };
        let own = text_of(call, "id").filter(|id| !id.is_empty());
        let id = own.unwrap_or_else(|| match self.answer.as_str() {
            "" => format!("call_{}", self.calls),
            answer => format!("call_{answer}_{}", self.calls),
        });
        self.calls += 1;
        let name = text_of(call, "name").ok_or(AnswerFault::Malformed("a tool call without a name"))?;
        Ok(Part::ToolUse { id, name, input, cache: None })
    }
}

fn plain(id: &str) -> String {
    id.chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}

/// Encodes a whole answer.
pub(super) fn encode(answer: &Answer, facts: &AnswerFacts) -> Vec<u8> {
    let mut json = Writer::new();
    let model = answer.model.as_deref().unwrap_or(&facts.model);
    let end = End { usage: answer.usage.as_ref(), finish: Some(stop_word(answer.stop)) };
    document(&mut json, facts, model, &end, &answer.logprobs, |json| {
        answer.parts.iter().for_each(|part| write_part(json, part));
    });
    json.into_bytes()
}

/// What only a whole answer and the last piece of a stream have.
#[derive(Clone, Copy, Default)]
pub(super) struct End<'e> {
    pub(super) usage: Option<&'e Usage>,
    pub(super) finish: Option<&'e str>,
}

/// An answer, or a piece of a stream.
pub(super) fn document(
    json: &mut Writer,
    facts: &AnswerFacts,
    model: &str,
    end: &End<'_>,
    logprobs: &Logprobs,
    fill: impl FnOnce(&mut Writer),
) {
    json.object(|json| {
        json.key("candidates").array(|json| {
            json.object(|json| {
                json.key("content").object(|json| {
                    json.key("parts").array(fill).key("role").text("model");
                });
                if let Some(finish) = end.finish {
                    json.key("finishReason").text(finish);
                }
                if !logprobs.is_empty() {
                    logprobs::write(json, logprobs);
                }
                json.key("index").whole(0);
            });
        });
        if let Some(usage) = end.usage {
            write_usage(json.key("usageMetadata"), usage);
        }
        json.key("modelVersion").text(model).key("responseId").text(&facts.call_id);
    });
}

fn write_part(json: &mut Writer, part: &Part) {
    match part {
        Part::Text { text, .. } => parts::text(json, text.expose(), false, None),
        Part::Thinking { text, signature } => {
            let signature = signature.as_ref().map(wire::seal);
            parts::text(json, text.expose(), true, signature.as_deref());
        }
        Part::RedactedThinking { data } => parts::text(json, "", true, Some(&wire::seal_redacted(data))),
        Part::ToolUse { id, name, input, .. } => parts::call(json, id, name, input.as_ref(), None),
        // No answer has these; decoders do not make them.
        _ => {}
    }
}
