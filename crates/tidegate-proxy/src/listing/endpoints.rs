//! `/v1/models/{creator}/{model}/endpoints`: a model at each provider, in the shape that OpenRouter
//! and Vercel share. What is not measured here (uptime, throughput, latency) is null.

use serde::Serialize;
use serde_json::{Map, Value, json};
use tidegate_policy::{ListedModel, Offer};
use tidegate_types::resource::{DialectName, Model, ModelKind, Price, Unit};

use super::pricing::of_unit;

#[derive(Serialize)]
pub(super) struct Endpoints<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    name: &'a str,
    created: i64,
    #[serde(rename = "type")]
    kind: &'static str,
    architecture: Architecture,
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
struct Architecture {
    input_modalities: Vec<&'static str>,
    output_modalities: Vec<&'static str>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    name: String,
    model_name: &'a str,
    provider_name: &'a str,
    tag: &'a str,
    context_length: u32,
    max_completion_tokens: u32,
    pricing: Map<String, Value>,
    supported_parameters: Vec<&'static str>,
    /// 0: in use. Others are not listed.
    status: u8,
    supports_implicit_caching: bool,
    uptime_last_30m: Option<f32>,
    throughput_last_30m: Option<f32>,
    latency_last_30m: Option<f32>,
}

pub(super) fn of(listed: &ListedModel) -> Endpoints<'_> {
    let model = &*listed.model;
    let endpoint = |offer| endpoint(listed, offer);
    Endpoints {
        data: Data {
            id: &listed.name,
            name: &model.display_name,
            created: model.released_at.unwrap_or_default().as_seconds(),
            kind: model.kind.as_str(),
            architecture: architecture(model),
            endpoints: listed.offers.iter().map(endpoint).collect(),
        },
    }
}

fn endpoint<'a>(listed: &'a ListedModel, offer: &'a Offer) -> Endpoint<'a> {
    let model = &*listed.model;
    // Where cached tokens cost less and nobody charges for writing them, caching needs no markers.
    let cached = |unit| offer.price.as_ref().and_then(|price| of_unit(price.tiers.first()?, unit)).is_some();
    Endpoint {
        name: format!("{} | {}", offer.provider.name, listed.name),
        model_name: &model.display_name,
        provider_name: offer.provider.slug.as_str(),
        tag: offer.provider.slug.as_str(),
        context_length: model.context_window,
        max_completion_tokens: offer.offering.max_output_tokens.unwrap_or(model.max_output_tokens),
        pricing: offer.price.as_deref().map(pricing).unwrap_or_default(),
        supported_parameters: parameters(model, offer.provider.dialect),
        status: 0,
        supports_implicit_caching: cached(Unit::CachedInputToken) && !cached(Unit::CacheWriteToken),
        uptime_last_30m: None,
        throughput_last_30m: None,
        latency_last_30m: None,
    }
}

fn pricing(price: &Price) -> Map<String, Value> {
    let name = |unit: Unit| match unit {
        Unit::InputToken => "prompt",
        Unit::OutputToken => "completion",
        Unit::CachedInputToken => "input_cache_read",
        Unit::CacheWriteToken => "input_cache_write",
        Unit::CacheWrite1hToken => "input_cache_write_1h",
        Unit::ReasoningToken => "internal_reasoning",
        Unit::Search => "web_search",
        other => other.as_str(),
    };
    let first = price.tiers.first();
    let entries = Unit::ALL.into_iter().filter_map(|unit| {
        let price = of_unit(first?, unit)?;
        Some((name(unit).to_owned(), json!(price)))
    });
    entries.collect()
}

fn architecture(model: &Model) -> Architecture {
    let (input, output): (&[&str], &[&str]) = match model.kind {
        ModelKind::Language if model.capabilities.vision => (&["text", "image"], &["text"]),
        ModelKind::Language => (&["text"], &["text"]),
        ModelKind::Embedding => (&["text"], &["embeddings"]),
        ModelKind::Image => (&["text"], &["image"]),
        ModelKind::Speech => (&["text"], &["audio"]),
        ModelKind::Transcription => (&["audio"], &["text"]),
        ModelKind::Reranking => (&["text"], &["rerank"]),
        ModelKind::Video => (&["text"], &["video"]),
    };
    Architecture { input_modalities: input.to_vec(), output_modalities: output.to_vec() }
}

/// Parameters of chat completions that every provider of the dialect takes, and those that the
/// model's abilities add.
fn parameters(model: &Model, dialect: DialectName) -> Vec<&'static str> {
    if model.kind != ModelKind::Language {
        return Vec::new();
    }
    let mut names = vec!["max_tokens", "temperature", "top_p", "stop"];
    if dialect == DialectName::OpenaiChat {
        names.extend(["seed", "frequency_penalty", "presence_penalty"]);
    }
    let can = model.capabilities;
    for (can, adds) in [
        (can.tools, &["tools", "tool_choice"][..]),
        (can.structured_output, &["response_format", "structured_outputs"]),
        (can.reasoning, &["reasoning", "reasoning_effort"]),
    ] {
        if can {
            names.extend(adds);
        }
    }
    names
}
