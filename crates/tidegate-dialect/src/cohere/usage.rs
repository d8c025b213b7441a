//! Usage as Cohere writes it: what was counted, and what is billed, which leaves its own additions out.

use tidegate_types::usage::Usage;

use crate::json::{Value, Writer};
use crate::usage::{Garbage, count};

/// Reads `usage`; billed counts where they are told. `None` when it makes no sense.
pub(super) fn read(usage: &Value<'_>) -> Option<Usage> {
    counts(usage).ok().flatten()
}

fn counts(usage: &Value<'_>) -> Result<Option<Usage>, Garbage> {
    let mut found = None;
    for key in ["billed_units", "tokens"] {
        let Some(units) = usage.get(key) else { continue };
        if let (None, Some(input), Some(output)) =
            (found, count(&units, "input_tokens")?, count(&units, "output_tokens")?)
        {
            found = Some((input, output, count(&units, "search_units")?.unwrap_or(0)));
        }
    }
    let cached = count(usage, "cached_tokens")?.unwrap_or(0);
    Ok(found.map(|(input, output, searches)| Usage {
        input_tokens: input,
        output_tokens: output,
        cached_input_tokens: cached.min(input),
        searches,
        requests: 1,
        ..Usage::default()
    }))
}

/// Writes `usage`.
pub(super) fn write(json: &mut Writer, usage: &Usage) {
    json.object(|json| {
        for key in ["billed_units", "tokens"] {
            json.key(key).object(|json| {
                json.key("input_tokens").whole(usage.input_tokens);
                json.key("output_tokens").whole(usage.output_tokens);
            });
        }
        json.key("cached_tokens").whole(usage.cached_input_tokens);
    });
}
