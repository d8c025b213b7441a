//! Which kind of model a price is for, and what a price must say in so many words.

use std::collections::BTreeSet;

use tidegate_types::PriceId;
use tidegate_types::resource::{ModelKind, Price, Unit};

use crate::document::{PriceEntry, UnitPrices};
use crate::found::Found;

/// The kind where a price can only be that of one kind.
pub(crate) fn kind_of(found: &Found) -> Option<ModelKind> {
    let name = found.upstream.to_ascii_lowercase();
    let units: BTreeSet<Unit> = found
        .prices
        .iter()
        .flat_map(|price| price.tiers.values())
        .flat_map(|prices| prices.keys().copied())
        .collect();
    let has = |unit| units.contains(&unit);
    if name.contains("rerank") {
        Some(ModelKind::Reranking)
    } else if name.contains("embed") || name.starts_with("voyage") {
        Some(ModelKind::Embedding)
    } else if name.contains("transcribe") || name.contains("whisper") || has(Unit::AudioSecond) {
        Some(ModelKind::Transcription)
    } else if name.contains("tts") || has(Unit::Character) {
        Some(ModelKind::Speech)
    } else if name.contains("realtime")
        || name.contains("live")
        || name.contains("voice")
        || name.contains("ocr")
    {
        None
    } else if has(Unit::ImageOutputToken) || has(Unit::Image) {
        Some(ModelKind::Image)
    } else {
        (has(Unit::InputToken) && has(Unit::OutputToken)).then_some(ModelKind::Language)
    }
}

/// Prices with what the pricing demands in so many words: where only one side of a call's tokens
/// has a price, the other side is free for embeddings and rankings, and costs as its dearest kind
/// of tokens elsewhere.
pub(crate) fn complete(prices: &[PriceEntry], kind: ModelKind) -> Result<Vec<PriceEntry>, String> {
    let mut complete = Vec::new();
    for price in prices {
        let mut price = price.clone();
        for tier in price.tiers.values_mut() {
            if tier.values().all(|price| price.get() == 0) {
                return Err("its price is 0, which is not believed".to_owned());
            }
            if matches!(kind, ModelKind::Embedding | ModelKind::Reranking)
                && tier.contains_key(&Unit::InputToken)
            {
                tier.entry(Unit::OutputToken).or_default();
            }
            fill(tier, Unit::InputToken, &[Unit::ImageInputToken, Unit::AudioInputToken]);
            fill(tier, Unit::OutputToken, &[Unit::ImageOutputToken, Unit::AudioOutputToken]);
        }
        let checked = Price {
            id: PriceId::from_u128(0),
            tiers: price.price_tiers(),
            valid_from: price.valid_from,
            recorded_at: price.valid_from,
            source: String::new(),
        };
        tidegate_pricing::validate(&checked).map_err(|error| error.to_string())?;
        if !tidegate_pricing::covers(&checked, kind) {
            return Err(format!("its price does not cover {kind:?} calls"));
        }
        complete.push(price);
    }
    if complete.is_empty() { Err("it has no price that can be expressed".to_owned()) } else { Ok(complete) }
}

/// Prices plain tokens as the dearest of their special kinds, where those alone have prices.
fn fill(tier: &mut UnitPrices, plain: Unit, special: &[Unit]) {
    if let Some(dearest) = special.iter().filter_map(|unit| tier.get(unit)).max().copied() {
        tier.entry(plain).or_insert(dearest);
    }
}
