//! What an event or an answer of Anthropic's shows, without decoding it.

use crate::json::{Kind, Value};
use crate::openai::watch::TOOL_CALL_OVERHEAD;
use crate::refusal::{UpstreamError, read_value};
use crate::usage::AnthropicCounts;

/// One event at a glance.
#[derive(Default)]
pub(crate) struct Glance {
    /// Some output is in it.
    pub(crate) output: bool,
    /// UTF-8 bytes of visible output.
    pub(crate) visible_bytes: u64,
    /// It tells why the provider stopped.
    pub(crate) finished: bool,
    /// It is the end marker.
    pub(crate) ended: bool,
    pub(crate) error: Option<UpstreamError>,
}

/// Looks at an event; usage goes into `counts`.
pub(crate) fn glance(root: &Value<'_>, counts: &mut AnthropicCounts) -> Glance {
    let mut seen = Glance::default();
    let kind = root.get("type").and_then(|kind| kind.text());
    match kind.as_deref() {
        Some("content_block_delta") => {
            seen.output = true;
            seen.visible_bytes = root.get("delta").map_or(0, |delta| texts_in(&delta));
        }
        Some("content_block_start") => {
            let block = root.get("content_block");
            let kind = block.and_then(|block| block.get("type")).and_then(|kind| kind.text());
            let visible = block.map_or(0, |block| block_bytes(&block));
            // An empty text block is no output yet: an error may still be the first real event.
            seen.output = visible > 0 || !matches!(kind.as_deref(), Some("text" | "thinking"));
            seen.visible_bytes = visible;
        }
        Some("message_start") => {
            if let Some(usage) = root.get("message").and_then(|message| message.get("usage")) {
                counts.update(&usage);
            }
        }
        Some("message_delta") => {
            let reason = root.get("delta").and_then(|delta| delta.get("stop_reason"));
            seen.finished = reason.is_some_and(|reason| !reason.is_null());
            seen.output = seen.finished;
            match root.get("usage") {
                usage if seen.finished => counts.end(usage),
                usage => usage.into_iter().for_each(|usage| counts.update(&usage)),
            }
        }
        Some("message_stop") => seen.ended = true,
        Some("error") => seen.error = Some(read_value(root)),
        _ => {}
    }
    seen
}

/// UTF-8 bytes of visible output of a whole content block.
pub(crate) fn block_bytes(block: &Value<'_>) -> u64 {
    let tool = block.get("input").map_or(0, |input| match input.raw() {
        b"{}" => TOOL_CALL_OVERHEAD,
        raw => raw.len() as u64 + TOOL_CALL_OVERHEAD,
    });
    texts_in(block) + tool
}

fn texts_in(object: &Value<'_>) -> u64 {
    let texts = object.members().filter(|member| {
        member.value.kind() == Kind::Text
            && !matches!(&*member.key, "type" | "id" | "signature" | "tool_use_id" | "data")
    });
    texts.map(|member| member.value.text_len() as u64).sum()
}
