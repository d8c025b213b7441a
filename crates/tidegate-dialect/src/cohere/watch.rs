//! What an event or an answer of Cohere's shows, without decoding it.

use tidegate_types::usage::Usage;

use crate::Content;
use crate::json::Value;
use crate::openai::watch::TOOL_CALL_OVERHEAD;
use crate::refusal::{UpstreamError, read_value};

/// One event at a glance.
#[derive(Default)]
pub(super) struct Glance {
    /// Some output is in it.
    pub(super) output: bool,
    /// UTF-8 bytes of visible output.
    pub(super) visible_bytes: u64,
    /// It is the last one.
    pub(super) ended: bool,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<UpstreamError>,
}

/// Looks at an event.
pub(super) fn glance(root: &Value<'_>) -> Glance {
    let mut seen = Glance::default();
    let delta = root.get("delta");
    let message = delta.and_then(|delta| delta.get("message"));
    match root.get("type").and_then(|kind| kind.text()).as_deref() {
        Some(
            "content-start" | "content-delta" | "tool-plan-delta" | "tool-call-start" | "tool-call-delta",
        ) => {
            seen.visible_bytes = message.map_or(0, |message| message_bytes(&message));
            seen.output = seen.visible_bytes > 0;
        }
        Some("message-end") => {
            seen.ended = true;
            seen.usage =
                delta.and_then(|delta| delta.get("usage")).and_then(|usage| super::usage::read(&usage));
            seen.error = delta.and_then(|delta| failed(&delta));
            seen.output = seen.error.is_none();
        }
        // An error in the form of its plain answers.
        None if root.get("message").is_some() => seen.error = Some(read_value(root)),
        _ => {}
    }
    seen
}

/// The error that a message ended with.
fn failed(delta: &Value<'_>) -> Option<UpstreamError> {
    let reason = delta.get("finish_reason").and_then(|reason| reason.text())?;
    matches!(&*reason, "ERROR" | "TIMEOUT").then(|| UpstreamError {
        kind: Some(reason.into_owned()),
        code: None,
        message: delta.get("error").and_then(|error| error.text()).map(Content::new).unwrap_or_default(),
    })
}

/// UTF-8 bytes of visible output of a message, whole or a piece of it.
pub(super) fn message_bytes(message: &Value<'_>) -> u64 {
    let length = |value: Option<Value<'_>>| value.map_or(0, |value| value.text_len() as u64);
    let block = |block: &Value<'_>| length(block.get("text")) + length(block.get("thinking"));
    let call = |call: &Value<'_>| {
        let function = call.get("function");
        let name = length(function.and_then(|function| function.get("name")));
        let arguments = length(function.and_then(|function| function.get("arguments")));
        name + arguments + if name > 0 { TOOL_CALL_OVERHEAD } else { 0 }
    };
    // In whole answers lists, in events one of them.
    let sum = |key: &str, of: &dyn Fn(&Value<'_>) -> u64| {
        message.get(key).map_or(0, |value| of(&value) + value.elements().map(|one| of(&one)).sum::<u64>())
    };
    length(message.get("tool_plan")) + sum("content", &block) + sum("tool_calls", &call)
}
