//! Edits of a chat completions body that stays in its dialect: output limit, usage of streams, storage.

use crate::json::{Span, Value};
use crate::outbound::{Body, Edits, IN_MEMORY, LimitKey};

/// Makes the edits.
pub(super) fn edit(body: &mut Body<'_>, edits: &Edits<'_>) {
    if let Some(limit) = edits.output_limit {
        limit_output(body, limit, edits.limit_key);
    }
    if body.call.stream && !body.call.asked_usage && !edits.no_stream_options {
        ask_usage(body);
    }
    if edits.no_store && body.value("store").is_none_or(|store| store.bool() != Some(false)) {
        body.set("store", "false");
    }
    let kept_long = |value: &Value<'_>| !IN_MEMORY.contains(&value.raw());
    if edits.no_store && body.value("prompt_cache_retention").is_some_and(|value| kept_long(&value)) {
        body.set("prompt_cache_retention", "null");
    }
}

fn limit_output(body: &mut Body<'_>, limit: u64, key: LimitKey) {
    let keys = ["max_completion_tokens", "max_tokens"];
    let given: Vec<_> = keys.iter().filter_map(|key| Some((*key, body.value(key)?))).collect();
    let text = limit.to_string();
    for (key, value) in &given {
        if value.whole().is_none_or(|asked| asked > limit) {
            body.set(key, text.as_str());
        }
    }
    match (given.as_slice(), key) {
        ([], LimitKey::MaxCompletionTokens) => body.set("max_completion_tokens", text),
        ([], LimitKey::MaxTokens) => body.set("max_tokens", text),
        // A service that knows only the old key would read no limit at all.
        ([("max_completion_tokens", asked)], LimitKey::MaxTokens) => {
            let limit = asked.whole().unwrap_or(limit).min(limit);
            body.rename("max_completion_tokens", "max_tokens", limit);
        }
        _ => {}
    }
}

fn ask_usage(body: &mut Body<'_>) {
    let Some(options) = body.value("stream_options") else {
        return body.set("stream_options", r#"{"include_usage":true}"#);
    };
    if let Some(asked) = options.get("include_usage") {
        return body.replace(asked.span(), "true");
    }
    let lead = if options.members().next().is_some() { "," } else { "" };
    let end = options.span().end.saturating_sub(1);
    body.replace(Span::at(end), format!(r#"{lead}"include_usage":true"#));
}
