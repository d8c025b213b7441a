//! Models that `dev` knows by their public names: at the real provider when its key is in the
//! environment, otherwise answered by the simulator.
//!
//! Prices in USD per million tokens, from the community's price data `genai-prices` 0.2.3, read
//! 2026-11-21; context windows from the same, output limits from the providers' model pages.

use serde_json::{Value, json};
use tidegate_simulator::ModelPrice;

/// A public model.
pub(super) struct PublicModel {
    pub(super) name: &'static str,
    /// What its own provider, and the simulator, call it.
    pub(super) upstream: &'static str,
    context_window: u32,
    max_output_tokens: u32,
    /// Millionths of a USD per million tokens, which is pico-USD per token.
    input: i64,
    output: i64,
    cached_input: i64,
    cache_write: i64,
    reasoning: bool,
}

const fn openai(
    name: &'static str,
    upstream: &'static str,
    window: (u32, u32),
    price: (i64, i64, i64),
) -> PublicModel {
    let (context_window, max_output_tokens) = window;
    let (input, output, cached_input) = price;
    let reasoning = context_window == 400_000;
    PublicModel {
        name,
        upstream,
        context_window,
        max_output_tokens,
        input,
        output,
        cached_input,
        cache_write: input,
        reasoning,
    }
}

const fn anthropic(name: &'static str, upstream: &'static str, price: (i64, i64, i64, i64)) -> PublicModel {
    let (input, output, cached_input, cache_write) = price;
    let (context_window, max_output_tokens) = (200_000, 64_000);
    PublicModel {
        name,
        upstream,
        context_window,
        max_output_tokens,
        input,
        output,
        cached_input,
        cache_write,
        reasoning: true,
    }
}

/// The models.
pub(super) const PUBLIC: &[PublicModel] = &[
    openai("openai/gpt-5", "gpt-5", (400_000, 128_000), (1_250_000, 10_000_000, 125_000)),
    openai("openai/gpt-5-mini", "gpt-5-mini", (400_000, 128_000), (250_000, 2_000_000, 25_000)),
    openai("openai/gpt-4.1", "gpt-4.1", (1_000_000, 32_768), (2_000_000, 8_000_000, 500_000)),
    openai("openai/gpt-4o-mini", "gpt-4o-mini", (128_000, 16_384), (150_000, 600_000, 75_000)),
    anthropic("anthropic/claude-opus-4.5", "claude-opus-4-5", (5_000_000, 25_000_000, 500_000, 6_250_000)),
    anthropic("anthropic/claude-haiku-4.5", "claude-haiku-4-5", (1_000_000, 5_000_000, 100_000, 1_250_000)),
];

impl PublicModel {
    /// Its creator, which is also the slug of its own provider.
    pub(super) fn creator(&self) -> &'static str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// As the management API takes it.
    pub(super) fn model(&self) -> Value {
        json!({"name": self.name, "aliases": [self.upstream], "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "capabilities": {"tools": true, "vision": true, "reasoning": self.reasoning, "structured_output": true}})
    }

    /// As the management API takes it.
    pub(super) fn prices(&self) -> Value {
        let usd = |pico: i64| tidegate_types::PicoUsd::new(pico).to_string();
        json!([{"unit": "input_token", "price": usd(self.input)}, {"unit": "output_token", "price": usd(self.output)},
            {"unit": "cached_input_token", "price": usd(self.cached_input)},
            {"unit": "cache_write_token", "price": usd(self.cache_write)}])
    }

    /// As the simulator bills it.
    pub(super) const fn simulated_price(&self) -> ModelPrice {
        ModelPrice { input: self.input, output: self.output, cached_input: self.cached_input }
    }
}
