//! Reads the data file of genai-prices: an array of providers with their models, prices in USD
//! by millions of tokens, thousands of requests and so on, with tiers and start dates.
//!
//! Source: `data/prices.json` of the crate genai-prices 0.2.1 (MIT), the same as
//! `prices/new_data/v2/data.json` of its repository. Matching of model names is not read: an
//! entry stands for the model that its id names.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_types::Timestamp;

use crate::document::PriceEntry;
use crate::found::{Facts, Found, Tiers, carried_forward};
use crate::units::{Quoted, of_genai};
use crate::{CatalogueError, ImportError};

#[derive(Deserialize)]
struct File<'a>(#[serde(borrow)] Vec<Provider<'a>>);

#[derive(Deserialize)]
struct Provider<'a> {
    id: String,
    #[serde(borrow)]
    models: Vec<Model<'a>>,
}

#[derive(Deserialize)]
struct Model<'a> {
    id: String,
    name: Option<String>,
    context_window: Option<u32>,
    #[serde(borrow)]
    prices: &'a RawValue,
    #[serde(rename = "match", default)]
    matches: serde_json::Value,
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct Conditional<'a> {
    #[serde(default)]
    constraint: Option<Constraint>,
    #[serde(borrow)]
    prices: Fields<'a>,
}

#[derive(Deserialize)]
struct Constraint {
    start_date: Option<String>,
    start_time: Option<String>,
}

#[derive(Deserialize)]
struct Tiered<'a> {
    #[serde(borrow)]
    base: &'a RawValue,
    #[serde(borrow)]
    tiers: Vec<Tier<'a>>,
}

#[derive(Deserialize)]
struct Tier<'a> {
    start: u32,
    #[serde(borrow)]
    price: &'a RawValue,
}

/// The models of every provider, by the file's name of the provider.
pub(crate) fn read(text: &str, source: &str) -> Result<BTreeMap<String, Vec<Found>>, CatalogueError> {
    let File(providers) =
        serde_json::from_str(text).map_err(|error| ImportError::NotGenai(error.to_string()))?;
    let mut found = BTreeMap::new();
    for provider in providers {
        let models: Result<Vec<_>, _> = provider.models.iter().map(|model| found_in(model, source)).collect();
        found.insert(provider.id, models?);
    }
    Ok(found)
}

fn found_in(model: &Model<'_>, source: &str) -> Result<Found, CatalogueError> {
    let bad =
        |error: serde_json::Error| ImportError::BadPrice { model: model.id.clone(), why: error.to_string() };
    let mut lost = Vec::new();
    let text = model.prices.get();
    let conditionals: Vec<Conditional<'_>> = if text.starts_with('[') {
        serde_json::from_str(text).map_err(bad)?
    } else {
        vec![Conditional { constraint: None, prices: serde_json::from_str(text).map_err(bad)? }]
    };
    let mut prices: Vec<PriceEntry> = Vec::new();
    for conditional in conditionals {
        let constraint = conditional.constraint.unwrap_or(Constraint { start_date: None, start_time: None });
        let tiers = tiers_of(&conditional.prices, &mut lost);
        if constraint.start_time.is_some() {
            lost.push("prices by time of day: the dearest counts at all times".to_owned());
            if let Some(last) = prices.last_mut() {
                dearest(&mut last.tiers, &tiers);
            }
            continue;
        }
        let valid_from = match &constraint.start_date {
            Some(date) => day(date).ok_or_else(|| ImportError::BadPrice {
                model: model.id.clone(),
                why: format!("{date} is no date"),
            })?,
            None => Timestamp::default(),
        };
        if !tiers.is_empty() {
            prices.push(PriceEntry { valid_from, tiers, source: source.to_owned() });
        }
    }
    lost.sort();
    lost.dedup();
    Ok(Found {
        upstream: model.id.clone(),
        display: model.name.clone(),
        dated: dated_names(&model.id, &model.matches),
        facts: Facts { context: model.context_window, ..Facts::default() },
        prices,
        lost,
    })
}

/// Midnight UTC of a day `2026-11-21`.
fn day(date: &str) -> Option<Timestamp> {
    format!("{date}T00:00:00Z").parse().ok()
}

fn tiers_of(fields: &Fields<'_>, lost: &mut Vec<String>) -> Tiers {
    let mut tiers = Tiers::new();
    for (field, value) in fields {
        let Some(quoted) = of_genai(field) else {
            // The same hours under a second name.
            if !(field == "audio_hours" && fields.contains_key("input_audio_hours")) {
                lost.push(format!("{field}: there is no such unit"));
            }
            continue;
        };
        if let Err(error) = field_tiers(quoted, value.get(), &mut tiers) {
            lost.push(format!("{field}: {error}"));
        }
    }
    carried_forward(tiers)
}

/// A price of genai-prices holds above `start` tokens, ours from so many tokens on.
fn field_tiers(quoted: Quoted, text: &str, tiers: &mut Tiers) -> Result<(), String> {
    let mut put = |from: u32, text: &str| {
        let price = quoted.one(text).map_err(|error| error.to_string())?;
        tiers.entry(from).or_default().insert(quoted.unit, price);
        Ok::<(), String>(())
    };
    if !text.starts_with('{') {
        return put(0, text);
    }
    let tiered: Tiered<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    put(0, tiered.base.get())?;
    tiered.tiers.iter().try_for_each(|tier| put(tier.start.saturating_add(1), tier.price.get()))
}

/// Raises each price to that of `others` where those are dearer.
fn dearest(tiers: &mut Tiers, others: &Tiers) {
    for (from, prices) in others {
        let ours = tiers.entry(*from).or_default();
        for (unit, price) in prices {
            let known = ours.entry(*unit).or_insert(*price);
            *known = (*known).max(*price);
        }
    }
}

/// Names that the file takes for the same model and that only add a date to it.
fn dated_names(id: &str, matches: &serde_json::Value) -> Vec<String> {
    let mut names = Vec::new();
    let alternatives = matches["or"].as_array().into_iter().flatten();
    for name in alternatives.filter_map(|clause| clause["equals"].as_str()) {
        let date = name.strip_prefix(id).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
        let digits = date.bytes().filter(u8::is_ascii_digit).count();
        if digits == 8 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            names.push(name.to_owned());
        }
    }
    names
}
