//! The snapshot against genai-prices itself: the same usage costs the same.

use std::time::{Duration, UNIX_EPOCH};

use genai_prices::{PriceRequest, Usage as TheirUsage, UsageKey};
use tidegate_catalogue::builtin;
use tidegate_types::Timestamp;
use tidegate_types::usage::Usage;

use crate::store::Store;

/// Time of the comparison: 2026-11-21.
const NOW: u64 = 1_795_219_200;

/// Model, provider, and their names in genai-prices.
const WELL_KNOWN: [(&str, &str, &str, &str); 16] = [
    ("openai/gpt-5", "openai", "openai", "gpt-5"),
    ("openai/gpt-4.1", "openai", "openai", "gpt-4.1"),
    ("openai/gpt-4o-mini", "openai", "openai", "gpt-4o-mini"),
    ("openai/o3", "openai", "openai", "o3"),
    ("anthropic/claude-sonnet-4.5", "anthropic", "anthropic", "claude-sonnet-4-5"),
    ("anthropic/claude-opus-4.5", "anthropic", "anthropic", "claude-opus-4-5"),
    ("anthropic/claude-haiku-5.5", "anthropic", "anthropic", "claude-haiku-5-5"),
    ("google/gemini-2.5-pro", "google", "google", "gemini-2.5-pro"),
    ("google/gemini-2.5-flash", "vertex", "google", "gemini-2.5-flash"),
    ("mistral/mistral-large-2512", "mistral", "mistral", "mistral-large-2512"),
    ("xai/grok-4.3", "xai", "x-ai", "grok-4.3"),
    ("moonshotai/kimi-k3", "moonshotai", "moonshotai", "kimi-k3"),
    ("zai/glm-5.3", "zai", "zai", "GLM-5.3"),
    ("openai/gpt-oss-120b", "groq", "groq", "openai/gpt-oss-120b"),
    ("anthropic/claude-sonnet-4.5", "bedrock", "aws", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("zai/glm-5.3", "fireworks", "fireworks", "accounts/fireworks/models/glm-5p3"),
];

/// Input, cached, written to the cache, output.
const USAGES: [(u32, u32, u32, u32); 4] =
    [(1_000, 0, 0, 500), (150_000, 100_000, 0, 4_096), (250_000, 100_000, 0, 9_999), (200_000, 0, 0, 1)];

#[test]
fn well_known_models_cost_what_the_source_says() {
    let mut store = Store::default();
    store.import(&builtin().unwrap(), Timestamp::from_seconds(1));
    for (model, provider, theirs, name) in WELL_KNOWN {
        let offering = store.offering(model, provider);
        let now = Timestamp::from_seconds(i64::try_from(NOW).unwrap());
        let price = tidegate_pricing::price_at(&offering.prices, now).unwrap();
        for (input, cached, written, output) in USAGES {
            let ours = tidegate_pricing::cost(
                price,
                &Usage {
                    input_tokens: input.into(),
                    cached_input_tokens: cached.into(),
                    cache_creation_input_tokens: written.into(),
                    output_tokens: output.into(),
                    ..Usage::default()
                },
            );
            let usage = TheirUsage::from([
                (UsageKey::INPUT_TOKENS, f64::from(input)),
                (UsageKey::CACHE_READ_TOKENS, f64::from(cached)),
                (UsageKey::OUTPUT_TOKENS, f64::from(output)),
            ]);
            let request = PriceRequest::new(name, &usage)
                .with_provider_id(theirs)
                .with_timestamp(UNIX_EPOCH + Duration::from_secs(NOW));
            let expected = genai_prices::calculate(&request).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "their total is a float")]
            let ours = ours.get() as f64 / 1e9;
            let difference = (ours - expected.total_price).abs();
            assert!(difference < 2e-9, "{model} at {provider}: {ours} and {}", expected.total_price);
        }
    }
}
