//! `GET {base}/config`: the models as the AI SDK lists them. Source: the clients' schemas.

use tidegate_types::resource::ModelKind;

use crate::json::Writer;

/// A model as it is listed.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// As clients ask for it, `creator/name`.
    pub id: &'a str,
    /// For people.
    pub name: &'a str,
    /// What it is good for.
    pub description: Option<&'a str>,
    /// Its price by tokens; `None`: priced otherwise.
    pub pricing: Option<Pricing>,
    /// Who serves it.
    pub provider: &'a str,
    /// What it does.
    pub kind: ModelKind,
}

/// USD per token as decimal strings.
#[derive(Debug, Clone)]
pub struct Pricing {
    /// Input.
    pub input: String,
    /// Output.
    pub output: String,
    /// Input read from a cache.
    pub input_cache_read: Option<String>,
    /// Input written to a cache.
    pub input_cache_write: Option<String>,
}

/// The document for clients of this version of the specification (2, 3, 4). One wrong version in it
/// makes a client refuse the whole list, so it comes from the path that was asked.
#[must_use]
pub fn document<'a>(spec: u8, models: impl IntoIterator<Item = Listed<'a>>) -> Vec<u8> {
    let version = format!("v{}", spec.clamp(2, super::NEWEST));
    let mut json = Writer::new();
    json.object(|json| {
        json.key("models").array(|json| {
            for model in models {
                json.object(|json| write(json, &version, &model));
            }
        });
    });
    json.into_bytes()
}

fn write(json: &mut Writer, version: &str, model: &Listed<'_>) {
    json.key("id").text(model.id).key("name").text(model.name);
    if let Some(description) = model.description {
        json.key("description").text(description);
    }
    if let Some(pricing) = &model.pricing {
        json.key("pricing").object(|json| {
            json.key("input").text(&pricing.input).key("output").text(&pricing.output);
            let cache = [
                ("input_cache_read", &pricing.input_cache_read),
                ("input_cache_write", &pricing.input_cache_write),
            ];
            for (key, price) in cache {
                if let Some(price) = price {
                    json.key(key).text(price);
                }
            }
        });
    }
    json.key("specification").object(|json| {
        json.key("specificationVersion").text(version).key("provider").text(model.provider);
        json.key("modelId").text(model.id);
    });
    json.key("modelType").text(model.kind.as_str());
}
