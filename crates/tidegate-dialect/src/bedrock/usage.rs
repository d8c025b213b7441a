//! Usage as Converse writes it: `inputTokens` leave out what was read from the cache and written to it.

use tidegate_types::usage::Usage;

use crate::json::{Value, Writer};
use crate::usage::{Garbage, count};

/// Reads `usage`; `None` when it makes no sense.
pub(super) fn read(usage: &Value<'_>) -> Option<Usage> {
    counts(usage).ok().flatten()
}

fn counts(usage: &Value<'_>) -> Result<Option<Usage>, Garbage> {
    let (Some(fresh), Some(output)) = (count(usage, "inputTokens")?, count(usage, "outputTokens")?) else {
        return Ok(None);
    };
    let cached = count(usage, "cacheReadInputTokens")?.unwrap_or(0);
    let written = count(usage, "cacheWriteInputTokens")?.unwrap_or(0);
    let mut hour = 0;
    for detail in usage.get("cacheDetails").into_iter().flat_map(|details| details.elements()) {
        if detail.get("ttl").and_then(|ttl| ttl.text()).as_deref() == Some("1h") {
            hour += count(&detail, "inputTokens")?.unwrap_or(0);
        }
    }
    Ok(Some(Usage {
        input_tokens: fresh + cached + written,
        output_tokens: output,
        cached_input_tokens: cached,
        cache_creation_input_tokens: written,
        cache_creation_1h_input_tokens: hour.min(written),
        requests: 1,
        ..Usage::default()
    }))
}

/// Writes `usage`.
pub(super) fn write(json: &mut Writer, usage: &Usage) {
    let (read, written) = (usage.cached_input_tokens, usage.cache_creation_input_tokens);
    let hour = usage.cache_creation_1h_input_tokens;
    let fresh = usage.input_tokens.saturating_sub(read.saturating_add(written));
    json.object(|json| {
        json.key("inputTokens").whole(fresh).key("outputTokens").whole(usage.output_tokens);
        json.key("totalTokens").whole(usage.input_tokens.saturating_add(usage.output_tokens));
        json.key("cacheReadInputTokens").whole(read).key("cacheWriteInputTokens").whole(written);
        if hour > 0 {
            json.key("cacheDetails").array(|json| {
                for (ttl, tokens) in [("5m", written.saturating_sub(hour)), ("1h", hour)] {
                    json.object(|json| json.key("inputTokens").whole(tokens).key("ttl").text(ttl).done());
                }
            });
        }
    });
}
