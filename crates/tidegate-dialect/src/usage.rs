//! Usage as dialects write it, read into and written from the one form of `tidegate-types`.
//!
//! OpenAI's prompt tokens include cached ones; Anthropic's input tokens exclude cache reads and writes.

use tidegate_types::usage::Usage;

use crate::json::{Value, Writer};

/// No provider's answer has more tokens than this; larger counts are taken for garbage.
const MOST_TOKENS: f64 = 1e12;

/// A count: a whole number in any notation. `None`: absent or null. `Err`: garbage.
pub(crate) fn count(object: &Value<'_>, key: &str) -> Result<Option<u64>, Garbage> {
    count_of(object.get(key))
}

/// The same of a member that was picked.
fn count_of(value: Option<Value<'_>>) -> Result<Option<u64>, Garbage> {
    match value.filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match value.whole() {
            Some(count) if count as f64 <= MOST_TOKENS => Ok(Some(count)),
            _ => odd_count(&value),
        },
    }
}

/// A count in another notation than all providers': `12.0`, `1e3`.
fn odd_count(value: &Value<'_>) -> Result<Option<u64>, Garbage> {
    let number =
        value.number().filter(|number| number.fract() == 0.0 && (0.0..=MOST_TOKENS).contains(number));
    number.map(|number| Some(number as u64)).ok_or(Garbage)
}

/// Something that is no count.
pub(crate) struct Garbage;

/// Reads OpenAI's `usage`; `None` when it is absent, null or makes no sense.
pub(crate) fn read_openai(usage: &Value<'_>) -> Option<Usage> {
    openai(usage).ok().flatten()
}

fn openai(usage: &Value<'_>) -> Result<Option<Usage>, Garbage> {
    let [input, visible, total, prompt, completion, hit, created] = usage.pick([
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "prompt_cache_hit_tokens",
        "cache_creation_input_tokens",
    ]);
    let (Some(input), Some(visible)) = (count_of(input)?, count_of(visible)?) else {
        return Ok(None);
    };
    let of =
        |details: &Option<Value<'_>>, key| details.as_ref().map_or(Ok(None), |details| count(details, key));
    let reasoning = of(&completion, "reasoning_tokens")?.unwrap_or(0);
    let cached = match of(&prompt, "cached_tokens")? {
        Some(cached) => cached,
        None => count_of(hit)?.unwrap_or(0),
    };
    let written = match of(&prompt, "cache_write_tokens")? {
        Some(written) => written,
        None => count_of(created)?.unwrap_or(0),
    };
    // Some services leave reasoning out of completion_tokens, and show it only in the total.
    let apart = reasoning > 0 && count_of(total)? == Some(input + visible + reasoning);
    let output = if apart { visible + reasoning } else { visible };
    Ok(Some(Usage {
        input_tokens: input,
        output_tokens: output,
        cached_input_tokens: cached.min(input),
        cache_creation_input_tokens: written.min(input.saturating_sub(cached)),
        reasoning_tokens: reasoning.min(output),
        requests: 1,
        audio_input_tokens: of(&prompt, "audio_tokens")?.unwrap_or(0).min(input),
        image_input_tokens: of(&prompt, "image_tokens")?.unwrap_or(0).min(input),
        audio_output_tokens: of(&completion, "audio_tokens")?.unwrap_or(0).min(output),
        image_output_tokens: of(&completion, "image_tokens")?.unwrap_or(0).min(output),
        ..Usage::default()
    }))
}

/// Anthropic's counts, as far as an event tells them. Cumulative: later ones replace earlier ones.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AnthropicCounts {
    input: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    cache_write_1h: u64,
    output: u64,
    thinking: u64,
    searches: u64,
}

impl AnthropicCounts {
    /// Takes the counts that `usage` tells; garbage is not taken at all.
    pub(crate) fn update(&mut self, usage: &Value<'_>) {
        let mut new = *self;
        if new.read(usage).is_ok() {
            *self = new;
        }
    }

    fn read(&mut self, usage: &Value<'_>) -> Result<(), Garbage> {
        self.input = count(usage, "input_tokens")?.or(self.input);
        self.cache_read = count(usage, "cache_read_input_tokens")?.unwrap_or(self.cache_read);
        self.cache_write = count(usage, "cache_creation_input_tokens")?.unwrap_or(self.cache_write);
        if let Some(created) = usage.get("cache_creation").filter(|created| !created.is_null()) {
            let hour = count(&created, "ephemeral_1h_input_tokens")?;
            self.cache_write_1h = hour.unwrap_or(self.cache_write_1h);
        }
        self.output = count(usage, "output_tokens")?.unwrap_or(self.output);
        if let Some(tools) = usage.get("server_tool_use").filter(|tools| !tools.is_null()) {
            self.searches = count(&tools, "web_search_requests")?.unwrap_or(self.searches);
        }
        if let Some(details) = usage.get("output_tokens_details") {
            self.thinking = count(&details, "thinking_tokens")?.unwrap_or(self.thinking);
        }
        Ok(())
    }

    /// Takes the counts that came with the finish. Without them what was told is a first guess
    /// (one output token, as a rule), and no usage.
    pub(crate) fn end(&mut self, usage: Option<Value<'_>>) {
        let told = usage.filter(|usage| matches!(count(usage, "output_tokens"), Ok(Some(_))));
        match told {
            Some(usage) => self.update(&usage),
            None => *self = Self::default(),
        }
    }

    /// The counts in the one form; `None` when input tokens were never told.
    pub(crate) fn usage(&self) -> Option<Usage> {
        Some(Usage {
            input_tokens: self.input? + self.cache_read + self.cache_write,
            output_tokens: self.output,
            cached_input_tokens: self.cache_read,
            cache_creation_input_tokens: self.cache_write,
            reasoning_tokens: self.thinking.min(self.output),
            requests: 1,
            cache_creation_1h_input_tokens: self.cache_write_1h.min(self.cache_write),
            searches: self.searches,
            ..Usage::default()
        })
    }
}

/// Reads a whole answer's `usage` of Anthropic.
pub(crate) fn read_anthropic(usage: &Value<'_>) -> Option<Usage> {
    let mut counts = AnthropicCounts::default();
    counts.update(usage);
    counts.usage()
}

/// Writes OpenAI's `usage` object.
pub(crate) fn write_openai(json: &mut Writer, usage: &Usage) {
    json.object(|json| {
        json.key("prompt_tokens").whole(usage.input_tokens);
        json.key("completion_tokens").whole(usage.output_tokens);
        json.key("total_tokens").whole(usage.input_tokens.saturating_add(usage.output_tokens));
        json.key("prompt_tokens_details").object(|json| {
            json.key("cached_tokens").whole(usage.cached_input_tokens);
            json.key("audio_tokens").whole(usage.audio_input_tokens);
            if usage.cache_creation_input_tokens > 0 {
                json.key("cache_write_tokens").whole(usage.cache_creation_input_tokens);
            }
        });
        json.key("completion_tokens_details").object(|json| {
            json.key("reasoning_tokens").whole(usage.reasoning_tokens);
            json.key("audio_tokens").whole(usage.audio_output_tokens);
        });
        if usage.cache_creation_input_tokens > 0 {
            json.key("cache_creation_input_tokens").whole(usage.cache_creation_input_tokens);
        }
    });
}

/// Writes Anthropic's `usage` object.
pub(crate) fn write_anthropic(json: &mut Writer, usage: &Usage) {
    let cached = usage.cached_input_tokens.saturating_add(usage.cache_creation_input_tokens);
    json.object(|json| {
        json.key("input_tokens").whole(usage.input_tokens.saturating_sub(cached));
        json.key("cache_creation_input_tokens").whole(usage.cache_creation_input_tokens);
        json.key("cache_read_input_tokens").whole(usage.cached_input_tokens);
        if usage.cache_creation_1h_input_tokens > 0 {
            let hour = usage.cache_creation_1h_input_tokens;
            json.key("cache_creation").object(|json| {
                let rest = usage.cache_creation_input_tokens.saturating_sub(hour);
                json.key("ephemeral_5m_input_tokens").whole(rest);
                json.key("ephemeral_1h_input_tokens").whole(hour);
            });
        }
        json.key("output_tokens").whole(usage.output_tokens);
        if usage.reasoning_tokens > 0 {
            json.key("output_tokens_details").object(|json| {
                json.key("thinking_tokens").whole(usage.reasoning_tokens);
            });
        }
        if usage.searches > 0 {
            json.key("server_tool_use").object(|json| {
                json.key("web_search_requests").whole(usage.searches);
            });
        }
    });
}
