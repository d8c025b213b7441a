//! Reads LiteLLM's `model_prices_and_context_window.json`: one object of models, prices in USD
//! for one token, image, second, with tiers in the names of fields (`_above_200k_tokens`).
//!
//! Source: litellm 1.109.1 (MIT). Only standard processing is read; batch, flex and priority
//! rates are not offered by the gateway.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_types::Timestamp;
use tidegate_types::resource::{Capabilities, ModelKind, Unit};

use crate::document::PriceEntry;
use crate::found::{Facts, Found, Tiers, carried_forward};
use crate::units::{Quoted, of_litellm};
use crate::{CatalogueError, ImportError};

type Fields<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Searches<'a> {
    #[serde(borrow)]
    search_context_size_medium: Option<&'a RawValue>,
}

/// Rates of ways of processing that calls here do not choose.
const OTHER_WAYS: [&str; 6] = ["_batches", "_priority", "_flex", "_ultrafast", "_balanced", "_cache_hit"];

/// The models of every provider, by the file's name of the provider.
pub(crate) fn read(text: &str, source: &str) -> Result<BTreeMap<String, Vec<Found>>, CatalogueError> {
    let bad = |error: serde_json::Error| ImportError::NotLitellm(error.to_string());
    let file: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(bad)?;
    let mut found: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for (name, entry) in file.into_iter().filter(|(name, _)| name != "sample_spec") {
        let fields: Fields<'_> = serde_json::from_str(entry.get()).map_err(bad)?;
        let Some(provider) = word(&fields, "litellm_provider") else { continue };
        // Vertex AI's models are listed by kind, `vertex_ai-image-models`, and named `vertex_ai/…`.
        let house = provider.split('-').next().filter(|house| *house == "vertex_ai");
        let prefix = format!("{}/", house.unwrap_or(&provider));
        let upstream = name.strip_prefix(&prefix).unwrap_or(&name).to_owned();
        found.entry(provider).or_default().push(found_in(upstream, &fields, source));
    }
    Ok(found)
}

fn found_in(upstream: String, fields: &Fields<'_>, source: &str) -> Found {
    let mut lost = Vec::new();
    let tiers = tiers_of(fields, &mut lost);
    let source = word(fields, "source").map_or_else(|| source.to_owned(), |page| format!("{source}, {page}"));
    let price = PriceEntry { valid_from: Timestamp::default(), tiers, source };
    Found {
        upstream,
        display: None,
        dated: Vec::new(),
        facts: facts(fields),
        prices: if price.tiers.is_empty() { Vec::new() } else { vec![price] },
        lost,
    }
}

fn word(fields: &Fields<'_>, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

fn count(fields: &Fields<'_>, name: &str) -> Option<u32> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

fn facts(fields: &Fields<'_>) -> Facts {
    let kind = match word(fields, "mode").as_deref() {
        Some("chat" | "responses") => Some(ModelKind::Language),
        Some("embedding") => Some(ModelKind::Embedding),
        Some("image_generation") => Some(ModelKind::Image),
        Some("audio_speech") => Some(ModelKind::Speech),
        Some("audio_transcription") => Some(ModelKind::Transcription),
        Some("rerank") => Some(ModelKind::Reranking),
        Some("video_generation") => Some(ModelKind::Video),
        _ => None,
    };
    let says = |name: &str| fields.get(name).is_some_and(|value| value.get() == "true");
    let can = Capabilities {
        tools: says("supports_function_calling"),
        vision: says("supports_vision"),
        reasoning: says("supports_reasoning"),
        structured_output: says("supports_response_schema"),
    };
    let input = count(fields, "max_input_tokens").or_else(|| count(fields, "max_tokens"));
    let output = count(fields, "max_output_tokens");
    Facts { kind, context: input, output, can: kind.map(|_| can) }
}

fn tiers_of(fields: &Fields<'_>, lost: &mut Vec<String>) -> Tiers {
    let mut tiers = Tiers::new();
    for (field, value) in fields.iter().filter(|(field, _)| is_price(field)) {
        let text = value.get();
        if OTHER_WAYS.iter().any(|way| field.contains(way)) || is_nothing(text) {
            continue;
        }
        if field == "search_context_cost_per_query" {
            let searches: Searches<'_> = serde_json::from_str(text).unwrap_or_default();
            if let Some(price) = searches.search_context_size_medium {
                put(Quoted { unit: Unit::Search, per: 1 }, 0, field, price.get(), &mut tiers, lost);
            }
            continue;
        }
        let (base, from) = match field.split_once("_above_") {
            Some((base, tier)) if !tier.starts_with("1hr") => match above(tier) {
                Some(from) => (base.to_owned(), from),
                None => {
                    lost.push(format!("{field}: there is no such tier"));
                    continue;
                }
            },
            Some((_, "1hr")) | None => (field.clone(), 0),
            Some((base, tier)) => match tier.strip_prefix("1hr_above_").and_then(above) {
                Some(from) => (format!("{base}_above_1hr"), from),
                None => continue,
            },
        };
        match of_litellm(&base) {
            Some(quoted) => put(quoted, from, field, text, &mut tiers, lost),
            None => lost.push(format!("{field}: there is no such unit")),
        }
    }
    // A file without a price for the first tokens has no price.
    if tiers.contains_key(&0) { carried_forward(tiers) } else { Tiers::new() }
}

fn put(quoted: Quoted, from: u32, field: &str, text: &str, tiers: &mut Tiers, lost: &mut Vec<String>) {
    match quoted.one(text) {
        Ok(price) => {
            tiers.entry(from).or_default().insert(quoted.unit, price);
        }
        Err(error) => lost.push(format!("{field}: {error}")),
    }
}

fn is_price(field: &str) -> bool {
    field.contains("cost") || field.contains("_dbu_")
}

/// Fields that say nothing: null, and zero for a unit that is not billed.
fn is_nothing(text: &str) -> bool {
    text == "null" || text == "{}"
}

/// `200k_tokens`: tokens above 200,000.
fn above(tier: &str) -> Option<u32> {
    let thousands: u32 = tier.strip_suffix("k_tokens")?.parse().ok()?;
    thousands.checked_mul(1_000)?.checked_add(1)
}
