//! Usage as the AI SDK's versions write it. Input tokens include cached ones.

use tidegate_types::usage::Usage;

use crate::json::Writer;

/// Writes `usage`: flat in version 2, nested since version 3. Without counts there are none, not zeros.
pub(super) fn write(json: &mut Writer, spec: u8, usage: Option<&Usage>) {
    let Some(usage) = usage else {
        json.object(|json| {
            if spec > 2 {
                json.key("inputTokens").object(|_| {}).key("outputTokens").object(|_| {});
            }
        });
        return;
    };
    if spec <= 2 {
        return flat(json, usage);
    }
    let cached = usage.cached_input_tokens.saturating_add(usage.cache_creation_input_tokens);
    json.object(|json| {
        json.key("inputTokens").object(|json| {
            json.key("total").whole(usage.input_tokens);
            json.key("noCache").whole(usage.input_tokens.saturating_sub(cached));
            json.key("cacheRead").whole(usage.cached_input_tokens);
            json.key("cacheWrite").whole(usage.cache_creation_input_tokens);
        });
        json.key("outputTokens").object(|json| {
            json.key("total").whole(usage.output_tokens);
            json.key("text").whole(usage.output_tokens.saturating_sub(usage.reasoning_tokens));
            json.key("reasoning").whole(usage.reasoning_tokens);
        });
    });
}

fn flat(json: &mut Writer, usage: &Usage) {
    json.object(|json| {
        json.key("inputTokens").whole(usage.input_tokens).key("outputTokens").whole(usage.output_tokens);
        json.key("totalTokens").whole(usage.input_tokens.saturating_add(usage.output_tokens));
        json.key("reasoningTokens").whole(usage.reasoning_tokens);
        json.key("cachedInputTokens").whole(usage.cached_input_tokens);
    });
}
