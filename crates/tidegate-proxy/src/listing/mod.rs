//! `/v1/models`: what a key may call; without a key, the shared catalogue, nothing of any tenant.
//! Prices are list prices.

mod endpoints;
mod pricing;

use bytes::Bytes;
use http::{HeaderMap, Response, header, request};
use serde::Serialize;
use tidegate_dialect::Dialect;
use tidegate_policy::{ListedModel, models_for, public_models};
use tidegate_types::Timestamp;
use tidegate_types::resource::{ModelKind, Price};
use tidegate_types::usage::RefusalCause;

use crate::account::Arrival;
use crate::authenticate::{carries_key, enter};
use crate::endpoint::dialect;
use crate::gateway::Gateway;
use crate::headers::JSON;
use crate::known_limits::KnownLimits;
use crate::refusal::{Refusal, Refused};

use self::pricing::Pricing;

/// All of them.
pub(crate) fn models(
    gateway: &Gateway,
    arrival: Arrival,
    head: &request::Parts,
    known: &mut KnownLimits,
) -> Result<Response<Bytes>, Refused> {
    let listed = listed(gateway, arrival, &head.headers, known)?;
    Ok(match dialect(head.uri.path(), &head.headers) {
        Dialect::AnthropicMessages => {
            let data: Vec<_> = listed.iter().map(anthropic).collect();
            let (first_id, last_id) = (data.first().map(|model| model.id), data.last().map(|model| model.id));
            json(&AnthropicList { first_id, last_id, has_more: false, data })
        }
        _ => {
            let data: Vec<_> = listed.iter().map(openai).collect();
            json(&OpenaiList { object: "list", data })
        }
    })
}

/// One of them. `name` may be percent-encoded, as clients encode the slash.
pub(crate) fn model(
    gateway: &Gateway,
    arrival: Arrival,
    head: &request::Parts,
    name: &str,
    known: &mut KnownLimits,
) -> Result<Response<Bytes>, Refused> {
    let listed = listed(gateway, arrival, &head.headers, known)?;
    let found = &named(&listed, name)?;
    Ok(match dialect(head.uri.path(), &head.headers) {
        Dialect::AnthropicMessages => json(&anthropic(found)),
        _ => json(&openai(found)),
    })
}

/// Who offers one of them, at what price.
pub(crate) fn endpoints(
    gateway: &Gateway,
    arrival: Arrival,
    head: &request::Parts,
    name: &str,
    known: &mut KnownLimits,
) -> Result<Response<Bytes>, Refused> {
    let listed = listed(gateway, arrival, &head.headers, known)?;
    Ok(json(&endpoints::of(named(&listed, name)?)))
}

/// The model of this name.
fn named<'a>(listed: &'a [ListedModel], name: &str) -> Result<&'a ListedModel, Refused> {
    let name = name.replace("%2F", "/").replace("%2f", "/");
    listed.iter().find(|model| *model.name == *name).ok_or_else(|| {
        Refusal::new(RefusalCause::UnknownModel, "there is no such model, or this key may not call it")
            .param("model")
    })
}

/// The models as the AI SDK of this specification version lists them.
pub(crate) fn config(
    gateway: &Gateway,
    arrival: Arrival,
    head: &request::Parts,
    specification: u8,
    known: &mut KnownLimits,
) -> Result<Response<Bytes>, Refused> {
    let listed = listed(gateway, arrival, &head.headers, known)?;
    let version = match specification {
        2 => "v2",
        3 => "v3",
        _ => "v4",
    };
    let models: Vec<_> = listed.iter().map(|listed| ConfigModel::of(listed, version)).collect();
    Ok(json(&Config { models }))
}

fn listed(
    gateway: &Gateway,
    arrival: Arrival,
    headers: &HeaderMap,
    known: &mut KnownLimits,
) -> Result<Vec<ListedModel>, Refused> {
    if !carries_key(headers) {
        return Ok(public_models(&gateway.config.catalogue(), arrival.at));
    }
    let caller = enter(gateway, arrival, headers, known)?;
    Ok(models_for(&caller.view, arrival.at))
}

#[derive(Serialize)]
struct OpenaiList<'a> {
    object: &'static str,
    data: Vec<OpenaiModel<'a>>,
}

#[derive(Serialize)]
struct OpenaiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    released: i64,
    owned_by: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_window: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    tags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<Pricing<'a>>,
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicModel<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: Timestamp,
}

fn released(listed: &ListedModel) -> Timestamp {
    listed.model.released_at.unwrap_or_default()
}

/// The list price of whoever is asked first.
fn price(listed: &ListedModel) -> Option<&Price> {
    listed.offers.first()?.price.as_deref()
}

fn openai(listed: &ListedModel) -> OpenaiModel<'_> {
    let model = &*listed.model;
    let can = model.capabilities;
    let tags = [(can.tools, "tool-use"), (can.vision, "vision"), (can.reasoning, "reasoning")];
    // Other kinds are measured in other things than tokens.
    let measured = matches!(model.kind, ModelKind::Language | ModelKind::Embedding);
    let limits = measured.then_some((model.context_window, model.max_output_tokens));
    OpenaiModel {
        id: &listed.name,
        object: "model",
        created: released(listed).as_seconds(),
        released: released(listed).as_seconds(),
        owned_by: if listed.is_route { "organization" } else { model.name.creator() },
        name: &model.display_name,
        kind: model.kind.as_str(),
        context_window: limits.map(|limits| limits.0),
        max_tokens: limits.map(|limits| limits.1),
        tags: tags.into_iter().filter_map(|(can, tag)| can.then_some(tag)).collect(),
        pricing: price(listed).map(Pricing::of),
    }
}

#[derive(Serialize)]
struct Config<'a> {
    models: Vec<ConfigModel<'a>>,
}

/// A model as the AI SDK's schema has it; one wrong `specificationVersion` fails its whole list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigModel<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<pricing::Short>,
    specification: Specification<'a>,
    model_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Specification<'a> {
    specification_version: &'static str,
    provider: &'a str,
    model_id: &'a str,
}

impl<'a> ConfigModel<'a> {
    fn of(listed: &'a ListedModel, specification_version: &'static str) -> Self {
        let provider = if listed.is_route { "organization" } else { listed.model.name.creator() };
        Self {
            id: &listed.name,
            name: &listed.model.display_name,
            pricing: price(listed).and_then(pricing::Short::of),
            specification: Specification { specification_version, provider, model_id: &listed.name },
            model_type: listed.model.kind.as_str(),
        }
    }
}

fn anthropic(listed: &ListedModel) -> AnthropicModel<'_> {
    AnthropicModel {
        kind: "model",
        id: &listed.name,
        display_name: &listed.model.display_name,
        created_at: released(listed),
    }
}

/// A 200 with this document.
pub(crate) fn json(document: &impl Serialize) -> Response<Bytes> {
    // These documents are strings and numbers: serialising them cannot fail.
    let mut response = Response::new(Bytes::from(serde_json::to_vec(document).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
