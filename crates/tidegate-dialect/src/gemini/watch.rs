//! What a chunk or an answer of Gemini's shows, without decoding it.

use super::answer::blocked;
use super::usage::read_usage;
use crate::json::Value;
use crate::openai::watch::TOOL_CALL_OVERHEAD;
use crate::refusal::{UpstreamError, read_value};

use tidegate_types::usage::Usage;

/// One chunk at a glance.
#[derive(Default)]
pub(super) struct Glance {
    /// It has a candidate, or says why there is none.
    pub(super) answer: bool,
    /// Bits of the candidates that it mentions, and of those that it finishes.
    pub(super) seen: u128,
    pub(super) finished: u128,
    /// UTF-8 bytes of visible output.
    pub(super) visible_bytes: u64,
    pub(super) usage: Option<Usage>,
    /// Searches of the web that it tells of, as they are billed.
    pub(super) searches: u64,
    pub(super) error: Option<UpstreamError>,
}

/// Looks at a chunk or a whole answer.
pub(super) fn glance(root: &Value<'_>) -> Glance {
    let mut seen = Glance::default();
    for member in root.members() {
        match &*member.key {
            "candidates" => member.value.elements().for_each(|candidate| seen.candidate(&candidate)),
            "usageMetadata" => seen.usage = read_usage(&member.value),
            "promptFeedback" if blocked(root) => {
                seen.answer = true;
                (seen.seen, seen.finished) = (seen.seen | 1, seen.finished | 1);
            }
            "error" if !member.value.is_null() => seen.error = Some(read_value(root)),
            _ => {}
        }
    }
    if seen.searches > 1
        && root.get("modelVersion").and_then(|model| model.text()).is_some_and(|model| by_prompt(&model))
    {
        seen.searches = 1;
    }
    if let Some(usage) = &mut seen.usage {
        usage.searches = seen.searches;
    }
    seen
}

/// Models before Gemini 3 bill a prompt that was grounded, later ones each query.
/// Source: <https://ai.google.dev/gemini-api/docs/pricing>, read November 2026.
fn by_prompt(model: &str) -> bool {
    model.starts_with("gemini-1") || model.starts_with("gemini-2")
}

/// Queries of a candidate: empty ones are free, and the same one counts once.
fn queries(candidate: &Value<'_>) -> u64 {
    let Some(grounding) = candidate.get("groundingMetadata") else { return 0 };
    let asked = grounding.get("webSearchQueries");
    let asked = asked.iter().flat_map(Value::elements).filter_map(|query| query.text());
    asked.filter(|query| !query.trim().is_empty()).collect::<std::collections::BTreeSet<_>>().len() as u64
}

impl Glance {
    fn candidate(&mut self, candidate: &Value<'_>) {
        self.answer = true;
        let index = candidate.get("index").and_then(|index| index.whole()).unwrap_or(0);
        let bit = u32::try_from(index).ok().and_then(|index| 1u128.checked_shl(index)).unwrap_or(1);
        self.seen |= bit;
        if candidate.get("finishReason").is_some_and(|reason| !reason.is_null()) {
            self.finished |= bit;
        }
        self.searches += queries(candidate);
        let parts = candidate.get("content").and_then(|content| content.get("parts"));
        self.visible_bytes +=
            parts.into_iter().flat_map(|parts| parts.elements()).map(|part| part_bytes(&part)).sum::<u64>();
    }
}

fn part_bytes(part: &Value<'_>) -> u64 {
    let of = |member: crate::json::Member<'_>| match &*member.key {
        "text" => member.value.text_len() as u64,
        "thought" | "thoughtSignature" | "partMetadata" => 0,
        "functionCall" => member.value.raw().len() as u64 + TOOL_CALL_OVERHEAD,
        _ => member.value.raw().len() as u64,
    };
    part.members().map(of).sum()
}
