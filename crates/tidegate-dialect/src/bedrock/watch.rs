//! What a frame or an answer of Converse shows, without decoding it.

use tidegate_types::usage::Usage;

use crate::json::Value;
use crate::openai::watch::TOOL_CALL_OVERHEAD;
use crate::refusal::{UpstreamError, read_value};

/// One frame at a glance.
#[derive(Default)]
pub(super) struct Glance {
    /// Some output is in it.
    pub(super) output: bool,
    /// UTF-8 bytes of visible output.
    pub(super) visible_bytes: u64,
    /// It tells why the provider stopped.
    pub(super) finished: bool,
    /// It is the last one of a complete answer.
    pub(super) ended: bool,
    pub(super) usage: Option<Usage>,
    /// A search of the web begins.
    pub(super) searches: bool,
    pub(super) error: Option<UpstreamError>,
}

/// Looks at a frame of this name.
pub(super) fn glance(name: &[u8], root: &Value<'_>) -> Glance {
    let mut seen = Glance::default();
    match name {
        b"contentBlockDelta" => {
            seen.output = true;
            seen.visible_bytes = root.get("delta").map_or(0, |delta| delta_bytes(&delta));
        }
        b"contentBlockStart" => {
            let tool = root.get("start").and_then(|start| start.get("toolUse"));
            if let Some(name) = tool.and_then(|tool| tool.get("name")) {
                seen.searches = tool.is_some_and(|tool| is_search(&tool));
                seen.output = true;
                seen.visible_bytes = name.text_len() as u64 + TOOL_CALL_OVERHEAD;
            }
        }
        b"messageStop" => (seen.output, seen.finished) = (true, true),
        b"metadata" => {
            seen.ended = true;
            seen.usage = root.get("usage").and_then(|usage| super::usage::read(&usage));
        }
        name if is_error(name) => {
            let kind = String::from_utf8_lossy(name).into_owned();
            seen.error = Some(UpstreamError { kind: Some(kind), ..read_value(root) });
        }
        _ => {}
    }
    seen
}

/// Whether a tool was run by the service, and searched the web.
/// Source: <https://docs.aws.amazon.com/nova/latest/nova2-userguide/web-grounding.html>, read November 2026.
pub(super) fn is_search(tool: &Value<'_>) -> bool {
    let says = |key: &str, word: &str| tool.get(key).and_then(|value| value.text()).as_deref() == Some(word);
    says("type", "server_tool_use") && says("name", "nova_grounding")
}

/// Exceptions say so in their name; codes of other errors begin with a capital, events do not.
pub(super) fn is_error(name: &[u8]) -> bool {
    name.ends_with(b"Exception") || name.first().is_some_and(u8::is_ascii_uppercase)
}

fn delta_bytes(delta: &Value<'_>) -> u64 {
    let length = |value: Option<Value<'_>>| value.map_or(0, |value| value.text_len() as u64);
    let thought = delta.get("reasoningContent");
    length(delta.get("text"))
        + length(delta.get("toolUse").and_then(|tool| tool.get("input")))
        + length(thought.and_then(|thought| thought.get("text")))
        + u64::from(thought.is_some_and(|thought| thought.get("redactedContent").is_some()))
}

/// UTF-8 bytes of visible output of a whole content block.
pub(super) fn block_bytes(block: &Value<'_>) -> u64 {
    let length = |value: Option<Value<'_>>| value.map_or(0, |value| value.text_len() as u64);
    let thought = block.get("reasoningContent").and_then(|thought| thought.get("reasoningText"));
    let cited = block.get("citationsContent").and_then(|cited| cited.get("content"));
    let cited: u64 = cited.map_or(0, |list| list.elements().map(|part| length(part.get("text"))).sum());
    let tool = block.get("toolUse").map_or(0, |tool| {
        let input = tool.get("input").map_or(0, |input| input.raw().len() as u64);
        length(tool.get("name")) + input + TOOL_CALL_OVERHEAD
    });
    length(block.get("text")) + length(thought.and_then(|thought| thought.get("text"))) + cited + tool
}
