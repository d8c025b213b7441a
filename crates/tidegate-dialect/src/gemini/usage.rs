//! `usageMetadata`. Thoughts and the prompts of tools stand beside the candidates' and the prompt's
//! tokens, not inside of them; cached tokens are part of the prompt. Source: the reference of both APIs.

use tidegate_types::usage::Usage;

use crate::json::{Value, Writer};
use crate::usage::{Garbage, count};

/// Reads it; `None` when it is absent or makes no sense.
pub(super) fn read_usage(usage: &Value<'_>) -> Option<Usage> {
    read(usage).ok().flatten()
}

fn read(usage: &Value<'_>) -> Result<Option<Usage>, Garbage> {
    let Some(prompt) = count(usage, "promptTokenCount")? else { return Ok(None) };
    let of = |key| count(usage, key).map(Option::unwrap_or_default);
    let input = prompt + of("toolUsePromptTokenCount")?;
    let thoughts = of("thoughtsTokenCount")?;
    let output = of("candidatesTokenCount")? + thoughts;
    Ok(Some(Usage {
        input_tokens: input,
        output_tokens: output,
        cached_input_tokens: of("cachedContentTokenCount")?.min(input),
        reasoning_tokens: thoughts,
        requests: 1,
        audio_input_tokens: kind(usage, "promptTokensDetails", "AUDIO")?.min(input),
        image_input_tokens: kind(usage, "promptTokensDetails", "IMAGE")?.min(input),
        audio_output_tokens: kind(usage, "candidatesTokensDetails", "AUDIO")?.min(output),
        image_output_tokens: kind(usage, "candidatesTokensDetails", "IMAGE")?.min(output),
        ..Usage::default()
    }))
}

/// Tokens of one kind, by the details.
fn kind(usage: &Value<'_>, key: &str, modality: &str) -> Result<u64, Garbage> {
    let Some(details) = usage.get(key) else { return Ok(0) };
    let of_kind = |detail: &Value<'_>| {
        detail.get("modality").and_then(|kind| kind.text()).is_some_and(|k| k == modality)
    };
    let mut sum = 0;
    for detail in details.elements().filter(of_kind) {
        sum += count(&detail, "tokenCount")?.unwrap_or_default();
    }
    Ok(sum)
}

/// Writes it.
pub(super) fn write_usage(json: &mut Writer, usage: &Usage) {
    let special = [("AUDIO", usage.audio_input_tokens), ("IMAGE", usage.image_input_tokens)];
    let text =
        usage.input_tokens.saturating_sub(usage.audio_input_tokens).saturating_sub(usage.image_input_tokens);
    json.object(|json| {
        json.key("promptTokenCount").whole(usage.input_tokens);
        json.key("candidatesTokenCount").whole(usage.output_tokens.saturating_sub(usage.reasoning_tokens));
        json.key("totalTokenCount").whole(usage.input_tokens.saturating_add(usage.output_tokens));
        if usage.cached_input_tokens > 0 {
            json.key("cachedContentTokenCount").whole(usage.cached_input_tokens);
        }
        if usage.reasoning_tokens > 0 {
            json.key("thoughtsTokenCount").whole(usage.reasoning_tokens);
        }
        json.key("promptTokensDetails").array(|json| {
            for (modality, tokens) in
                [("TEXT", text)].into_iter().chain(special).filter(|(_, tokens)| *tokens > 0)
            {
                json.object(|json| {
                    json.key("modality").text(modality).key("tokenCount").whole(tokens).done()
                });
            }
        });
    });
}
