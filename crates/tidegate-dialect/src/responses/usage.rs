//! The counts of a response, read and written.

use tidegate_types::usage::Usage;

use crate::json::{Value, Writer};
use crate::usage::count;

/// Reads the counts of a response object; `None` when they are absent, null or make no sense.
pub(super) fn read(response: &Value<'_>) -> Option<Usage> {
    let usage = response.get("usage").filter(|usage| !usage.is_null())?;
    let of = |details: &str, key: &str| match usage.get(details) {
        Some(details) => count(&details, key).map(Option::unwrap_or_default),
        None => Ok(0),
    };
    let input = count(&usage, "input_tokens").ok()??;
    let output = count(&usage, "output_tokens").ok()??;
    let cached = of("input_tokens_details", "cached_tokens").ok()?.min(input);
    let written = of("input_tokens_details", "cache_write_tokens").ok()?;
    let searches = response.get("tool_usage").and_then(|tools| tools.get("web_search"));
    Some(Usage {
        input_tokens: input,
        output_tokens: output,
        cached_input_tokens: cached,
        cache_creation_input_tokens: written.min(input - cached),
        reasoning_tokens: of("output_tokens_details", "reasoning_tokens").ok()?.min(output),
        requests: 1,
        searches: searches.map_or(Ok(None), |web| count(&web, "num_requests")).ok()?.unwrap_or(0),
        ..Usage::default()
    })
}

/// Writes the `usage` member's value.
pub(super) fn write(json: &mut Writer, usage: Option<&Usage>) {
    let Some(usage) = usage else { return json.null().done() };
    json.object(|json| {
        json.key("input_tokens").whole(usage.input_tokens);
        json.key("input_tokens_details").object(|json| {
            json.key("cached_tokens").whole(usage.cached_input_tokens);
            json.key("cache_write_tokens").whole(usage.cache_creation_input_tokens);
        });
        json.key("output_tokens").whole(usage.output_tokens);
        json.key("output_tokens_details").object(|json| {
            json.key("reasoning_tokens").whole(usage.reasoning_tokens);
        });
        json.key("total_tokens").whole(usage.input_tokens.saturating_add(usage.output_tokens));
    });
}
