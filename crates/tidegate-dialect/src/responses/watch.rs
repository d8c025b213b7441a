//! What an event or an answer shows, without decoding it.

use tidegate_types::usage::Usage;

use super::{error, usage};
use crate::json::{Kind, Value};
use crate::openai::watch::TOOL_CALL_OVERHEAD;
use crate::refusal::UpstreamError;

/// One event at a glance.
#[derive(Default)]
pub(super) struct Glance {
    /// An item or some output is in it.
    pub(super) output: bool,
    /// UTF-8 bytes of visible output.
    pub(super) visible_bytes: u64,
    /// It tells why the provider stopped, and is the last one.
    pub(super) finished: bool,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<UpstreamError>,
}

/// Looks at events one after the other.
#[derive(Default)]
pub(super) struct Watch {
    /// The open item has shown output of its own.
    shown: bool,
}

impl Watch {
    /// Looks at an event.
    pub(super) fn glance(&mut self, root: &Value<'_>) -> Glance {
        let mut seen = Glance::default();
        let kind = root.get("type").and_then(|kind| kind.text());
        let kind = kind.as_deref().unwrap_or_default();
        let response = root.get("response");
        match kind {
            "response.output_item.added" => {
                seen.output = true;
                self.shown = false;
                seen.visible_bytes = root.get("item").map_or(0, |item| call_bytes(&item));
            }
            // Services without deltas show an item only when it is done.
            "response.output_item.done" if !self.shown => {
                seen.output = true;
                seen.visible_bytes = root.get("item").map_or(0, |item| text_bytes(&item));
            }
            "response.completed" | "response.incomplete" => {
                (seen.output, seen.finished) = (true, true);
                seen.usage = response.and_then(|response| usage::read(&response));
            }
            "response.failed" | "response.cancelled" => {
                seen.error = Some(error::read(&response.unwrap_or(*root)));
                seen.usage = response.and_then(|response| usage::read(&response));
            }
            "error" => seen.error = Some(error::read(root)),
            kind if kind.ends_with(".delta") => {
                (seen.output, self.shown) = (true, true);
                seen.visible_bytes = root.get("delta").map_or(0, |delta| delta.text_len() as u64);
            }
            // An error in the way of chat completions.
            "" if root.get("error").is_some_and(|error| !error.is_null()) => {
                seen.error = Some(error::read(root));
            }
            _ => {}
        }
        seen
    }
}

/// UTF-8 bytes of visible output of a whole item.
pub(super) fn item_bytes(item: &Value<'_>) -> u64 {
    call_bytes(item) + text_bytes(item)
}

/// What a call costs beyond its arguments.
fn call_bytes(item: &Value<'_>) -> u64 {
    let kind = item.get("type").and_then(|kind| kind.text());
    if kind.is_some_and(|kind| kind.ends_with("_call")) {
        TOOL_CALL_OVERHEAD + item.get("name").map_or(0, |name| name.text_len() as u64)
    } else {
        0
    }
}

fn text_bytes(item: &Value<'_>) -> u64 {
    let mut bytes = 0;
    for member in item.members() {
        bytes += match &*member.key {
            "content" | "summary" => member.value.elements().map(|part| part_bytes(&part)).sum(),
            "arguments" | "input" | "code" if member.value.kind() == Kind::Text => {
                member.value.text_len() as u64
            }
            _ => 0,
        };
    }
    bytes
}

fn part_bytes(part: &Value<'_>) -> u64 {
    let texts = ["text", "refusal"].iter().filter_map(|key| part.get(key));
    texts.map(|text| text.text_len() as u64).sum()
}
