//! What a chunk or an answer of OpenAI's shows, without decoding it.

use tidegate_types::usage::Usage;

use crate::json::{Kind, Value};
use crate::refusal::{UpstreamError, read_value};
use crate::usage::read_openai;

/// Tokens that a tool call costs beyond its visible text, at most.
pub(crate) const TOOL_CALL_OVERHEAD: u64 = 16;

/// One chunk at a glance.
#[derive(Default)]
pub(crate) struct Glance<'a> {
    /// It has at least one choice.
    pub(crate) choices: bool,
    /// Bits of the choices that it mentions, and of those that it finishes.
    pub(crate) seen: u128,
    pub(crate) finished: u128,
    /// Some output is in it.
    pub(crate) output: bool,
    /// UTF-8 bytes of visible output.
    pub(crate) visible_bytes: u64,
    /// Its `usage` member, null or not.
    pub(crate) usage_member: Option<Value<'a>>,
    pub(crate) usage: Option<Usage>,
    /// `x_groq.usage`: where Groq's streams tell it on the last chunk with a choice.
    pub(crate) groq_usage: Option<Value<'a>>,
    /// What the first choice says, and whether `provider_metadata` is in it.
    pub(crate) said: Option<Value<'a>>,
    pub(crate) noted: bool,
    /// It cites pages of the web, so a search was made.
    pub(crate) cites: bool,
    pub(crate) error: Option<UpstreamError>,
}

/// Looks at a chunk (or, with `message` for `delta`, at a whole answer).
pub(crate) fn glance<'a>(root: &Value<'a>) -> Glance<'a> {
    let mut seen = Glance::default();
    let [choices, usage, groq, error] = root.pick(["choices", "usage", "x_groq", "error"]);
    if let Some(choices) = choices {
        choices.elements().for_each(|choice| seen.choice(&choice));
    }
    seen.usage_member = usage;
    seen.groq_usage = groq.and_then(|groq| groq.get("usage")).filter(|usage| !usage.is_null());
    if error.is_some_and(|error| !error.is_null()) {
        seen.error = Some(read_value(root));
    }
    seen.usage = usage.as_ref().and_then(read_openai);
    seen.usage = seen.usage.or_else(|| seen.groq_usage.as_ref().and_then(read_openai));
    if let Some(usage) = &mut seen.usage {
        usage.searches = usage.searches.max(u64::from(seen.cites));
    }
    seen
}

impl<'a> Glance<'a> {
    fn choice(&mut self, choice: &Value<'a>) {
        let first = !std::mem::replace(&mut self.choices, true);
        let [index, delta, message, finish] = choice.pick(["index", "delta", "message", "finish_reason"]);
        let index = index.and_then(|index| index.whole()).unwrap_or(0);
        let bit = 1u128.checked_shl(index as u32).unwrap_or(1);
        for said in delta.iter().chain(&message) {
            let noted = self.delta(said);
            if first {
                (self.said, self.noted) = (Some(*said), noted);
            }
        }
        self.seen |= bit;
        if finish.is_some_and(|reason| !reason.is_null()) {
            self.finished |= bit;
            self.output = true;
        }
    }

    /// Whether the gateway's note is there already.
    fn delta(&mut self, delta: &Value<'_>) -> bool {
        let (mut visible, mut noted) = (0, false);
        // The same reasoning may be there in several conventions at once: only the longest counts.
        let mut reasoning = 0;
        for member in delta.members() {
            match &*member.key {
                "role" | "id" | "name" => {}
                "tool_calls" => member.value.elements().for_each(|call| visible += tool_call(&call)),
                "function_call" => visible += tool_call_text(&member.value) + TOOL_CALL_OVERHEAD,
                "reasoning" | "reasoning_content" | "reasoning_details" => {
                    reasoning = reasoning.max(texts_in(&member.value));
                }
                "annotations" => self.cites |= member.value.elements().any(|note| cites_the_web(&note)),
                "provider_metadata" => noted = true,
                _ => visible += texts_in(&member.value),
            }
        }
        visible += reasoning;
        self.output |= visible > 0;
        self.visible_bytes += visible;
        noted
    }
}

/// Only answers for which the web was searched have such notes; how often it was, they do not tell.
fn cites_the_web(note: &Value<'_>) -> bool {
    note.get("type").and_then(|kind| kind.text()).as_deref() == Some("url_citation")
}

fn tool_call(call: &Value<'_>) -> u64 {
    let mut visible = 0;
    for member in call.members() {
        match &*member.key {
            // Only the first piece of a call has an id.
            "id" if !member.value.is_null() => visible += TOOL_CALL_OVERHEAD,
            "function" | "custom" => visible += tool_call_text(&member.value),
            _ => {}
        }
    }
    visible.max(1)
}

fn tool_call_text(function: &Value<'_>) -> u64 {
    function.members().map(|member| member.value.text_len() as u64).sum()
}

/// UTF-8 bytes of all strings in a value (arrays and objects one level deep, which is how reasoning comes).
fn texts_in(value: &Value<'_>) -> u64 {
    match value.kind() {
        Kind::Text => value.text_len() as u64,
        Kind::Array => value.elements().map(|element| texts_in_object(&element)).sum(),
        Kind::Object => texts_in_object(value),
        _ => 0,
    }
}

fn texts_in_object(value: &Value<'_>) -> u64 {
    let texts = value.members().filter(|member| !matches!(&*member.key, "type" | "format" | "id"));
    texts.map(|member| member.value.text_len() as u64).sum()
}
