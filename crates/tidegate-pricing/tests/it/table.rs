//! Known prices give known charges.

use tidegate_pricing::{PriceError, Tariff, bound, cost, covers, validate};
use tidegate_types::resource::ModelKind;
use tidegate_types::resource::Unit::{
    AudioInputToken, AudioOutputToken, AudioSecond, CacheWrite1hToken, CacheWriteToken, CachedInputToken,
    Character, Image, ImageInputToken, ImageOutputToken, InputToken, OutputToken, ReasoningToken, Request,
    Search, VideoSecond,
};
use tidegate_types::usage::Usage;
use tidegate_types::{NanoUsd, PicoUsd};

use crate::fixtures::{price, tier};

#[test]
fn every_unit_is_charged_at_its_own_price() {
    let listed = price(vec![tier(
        0,
        &[
            (InputToken, 3_000_000),
            (OutputToken, 15_000_000),
            (CachedInputToken, 300_000),
            (CacheWriteToken, 3_750_000),
            (ReasoningToken, 20_000_000),
            (Request, 1_000_000_000),
        ],
    )]);
    let usage = Usage {
        input_tokens: 1_000,
        output_tokens: 500,
        cached_input_tokens: 600,
        cache_creation_input_tokens: 100,
        reasoning_tokens: 200,
        requests: 1,
        ..Usage::default()
    };
    let nano = (300 * 3_000 + 600 * 300 + 100 * 3_750) + (300 * 15_000 + 200 * 20_000) + 1_000_000;
    assert_eq!(cost(&listed, &usage), NanoUsd::new(nano));
}

#[test]
fn absent_units_cost_as_their_nearest_relatives() {
    let listed = price(vec![tier(0, &[(InputToken, 2_000), (OutputToken, 8_000)])]);
    let usage = Usage {
        input_tokens: 30,
        output_tokens: 20,
        cached_input_tokens: 10,
        cache_creation_input_tokens: 10,
        reasoning_tokens: 20,
        requests: 1,
        ..Usage::default()
    };
    assert_eq!(cost(&listed, &usage), NanoUsd::new(30 * 2 + 20 * 8));
}

#[test]
fn writes_for_an_hour_cost_their_own_price_or_twice_the_input() {
    let usage = Usage {
        input_tokens: 30,
        cache_creation_input_tokens: 20,
        cache_creation_1h_input_tokens: 15,
        ..Usage::default()
    };
    let at = |more: &[_]| {
        let units = [&[(InputToken, 4_000), (OutputToken, 1_000)], more].concat();
        cost(&price(vec![tier(0, &units)]), &usage)
    };
    assert_eq!(at(&[(CacheWriteToken, 5_000), (CacheWrite1hToken, 7_000)]), NanoUsd::new(40 + 25 + 15 * 7));
    assert_eq!(at(&[(CacheWriteToken, 5_000)]), NanoUsd::new(40 + 25 + 15 * 8));
    assert_eq!(at(&[(CacheWriteToken, 9_000)]), NanoUsd::new(40 + 45 + 15 * 9), "never below other writes");
    assert_eq!(at(&[]), NanoUsd::new(40 + 20 + 15 * 8));
}

#[test]
fn audio_and_images_are_parts_of_the_tokens_with_prices_of_their_own() {
    let listed = price(vec![tier(
        0,
        &[
            (InputToken, 1_000),
            (OutputToken, 2_000),
            (AudioInputToken, 10_000),
            (ImageInputToken, 5_000),
            (AudioOutputToken, 20_000),
            (ImageOutputToken, 40_000),
        ],
    )]);
    let usage = Usage {
        input_tokens: 100,
        cached_input_tokens: 10,
        audio_input_tokens: 20,
        image_input_tokens: 30,
        output_tokens: 50,
        reasoning_tokens: 5,
        audio_output_tokens: 15,
        image_output_tokens: 10,
        ..Usage::default()
    };
    let nano = (10 + 20 * 10 + 30 * 5 + 40) + (5 * 2 + 15 * 20 + 10 * 40 + 20 * 2);
    assert_eq!(cost(&listed, &usage), NanoUsd::new(nano));
}

#[test]
fn what_is_no_token_is_charged_each() {
    let listed = price(vec![tier(
        0,
        &[(Image, 40_000), (AudioSecond, 100), (Character, 15), (Search, 2_000_000), (VideoSecond, 500_000)],
    )]);
    let usage = Usage {
        images: 2,
        audio_seconds: 30,
        characters: 1_001,
        searches: 3,
        video_seconds: 4,
        ..Usage::default()
    };
    let pico: i64 = 2 * 40_000 + 30 * 100 + 1_001 * 15 + 3 * 2_000_000 + 4 * 500_000;
    assert_eq!(cost(&listed, &usage), NanoUsd::new((pico + 999) / 1_000));
}

#[test]
fn a_price_covers_the_models_that_are_billed_by_what_it_names() {
    let one = |unit| price(vec![tier(0, &[(unit, 1)])]);
    let tokens = price(vec![tier(0, &[(InputToken, 1), (OutputToken, 1)])]);
    for (unit, kind) in [
        (Image, ModelKind::Image),
        (ImageOutputToken, ModelKind::Image),
        (Character, ModelKind::Speech),
        (AudioSecond, ModelKind::Transcription),
        (Search, ModelKind::Reranking),
        (VideoSecond, ModelKind::Video),
        (InputToken, ModelKind::Embedding),
    ] {
        assert!(covers(&one(unit), kind), "{unit:?}");
        assert!(!covers(&one(Request), kind), "{kind:?}");
        assert!(!covers(&one(unit), ModelKind::Language), "{unit:?}");
        assert!(covers(&tokens, kind), "{kind:?}");
    }
    assert!(covers(&tokens, ModelKind::Language));
    let tariff = Tariff::Ceiling(PicoUsd::new(1));
    assert!(tariff.covers(ModelKind::Embedding) && !tariff.covers(ModelKind::Image));
    let partly = price(vec![tier(0, &[(Image, 1)]), tier(9, &[(Search, 1)])]);
    assert!(!covers(&partly, ModelKind::Image), "every tier has to");
}

#[test]
fn the_tier_is_chosen_by_all_input_tokens_cached_ones_included() {
    let listed = price(vec![
        tier(0, &[(InputToken, 1_000), (OutputToken, 1_000)]),
        tier(200_000, &[(InputToken, 2_000), (OutputToken, 3_000)]),
    ]);
    let at = |input_tokens, cached_input_tokens| {
        cost(&listed, &Usage { input_tokens, cached_input_tokens, output_tokens: 1, ..Usage::default() })
    };
    assert_eq!(at(199_999, 199_999), NanoUsd::new(199_999 + 1));
    assert_eq!(at(200_000, 199_999), NanoUsd::new(400_000 + 3));
    assert_eq!(at(5, 200_000), NanoUsd::new(400_000 + 3), "parts beyond the total count too");
}

#[test]
fn a_charge_is_rounded_up_once() {
    let listed = price(vec![tier(0, &[(InputToken, 1), (OutputToken, 1)])]);
    let usage = |input_tokens, output_tokens| Usage { input_tokens, output_tokens, ..Usage::default() };
    assert_eq!(cost(&listed, &usage(0, 0)), NanoUsd::ZERO);
    assert_eq!(cost(&listed, &usage(1, 1)), NanoUsd::new(1));
    assert_eq!(cost(&listed, &usage(500, 500)), NanoUsd::new(1));
    assert_eq!(cost(&listed, &usage(500, 501)), NanoUsd::new(2));
}

#[test]
fn absurd_counts_are_dear_and_never_overflow() {
    let listed = price(vec![tier(0, &[(InputToken, i64::MAX), (OutputToken, i64::MAX)])]);
    let usage = Usage::from_counts([u64::MAX; 16]);
    assert_eq!(cost(&listed, &usage), NanoUsd::MAX);
    assert_eq!(bound(&listed, &usage), NanoUsd::MAX);
    assert_eq!(cost(&price(Vec::new()), &Usage::default()), NanoUsd::MAX, "no price is never free");
}

#[test]
fn a_bound_takes_the_dearest_tier_that_could_apply() {
    let listed = price(vec![
        tier(0, &[(InputToken, 9_000), (OutputToken, 9_000)]),
        tier(100, &[(InputToken, 1_000), (OutputToken, 1_000), (Request, 5_000)]),
    ]);
    let bound = |input_tokens, output_tokens| {
        bound(&listed, &Usage { input_tokens, output_tokens, ..Usage::default() })
    };
    assert_eq!(bound(99, 10), NanoUsd::new(99 * 9 + 10 * 9));
    assert_eq!(bound(150, 10), NanoUsd::new(99 * 9 + 10 * 9), "the cheaper tier comes later");
    assert_eq!(bound(10_000, 10), NanoUsd::new(10_000 + 10 + 5));
}

#[test]
fn a_ceiling_charges_every_token_and_nothing_else() {
    let tariff = Tariff::Ceiling(PicoUsd::new(1_500));
    let usage = Usage { input_tokens: 3, output_tokens: 4, cached_input_tokens: 3, ..Usage::default() };
    assert_eq!(tariff.cost(&usage), NanoUsd::new(11));
    assert_eq!(
        tariff.bound(&Usage { input_tokens: 3, output_tokens: 4, ..Usage::default() }),
        NanoUsd::new(11)
    );
    assert_eq!((tariff.price_id(), tariff.ceiling_pico()), (None, Some(1_500)));
}

#[test]
fn a_price_must_be_complete() {
    let whole = [(InputToken, 1), (OutputToken, 1)];
    let cases = [
        (vec![], PriceError::NoTiers),
        (vec![tier(1, &whole)], PriceError::FirstTierNotZero),
        (vec![tier(0, &whole), tier(0, &whole)], PriceError::NotAscending(0)),
        (vec![tier(0, &whole), tier(9, &whole), tier(5, &whole)], PriceError::NotAscending(5)),
        (vec![tier(0, &[(InputToken, 1), (OutputToken, -1)])], PriceError::Negative(OutputToken)),
        (vec![tier(0, &[(InputToken, 1), (InputToken, 1)])], PriceError::Twice(InputToken, 0)),
        (vec![tier(0, &[(InputToken, 1)])], PriceError::Missing(OutputToken, 0)),
        (vec![tier(0, &whole), tier(7, &[(OutputToken, 1)])], PriceError::Missing(InputToken, 7)),
    ];
    for (tiers, error) in cases {
        assert_eq!(validate(&price(tiers)), Err(error));
    }
    validate(&price(vec![tier(0, &whole), tier(7, &whole)])).unwrap();
    for unit in [Image, AudioSecond, Character, Search, VideoSecond] {
        validate(&price(vec![tier(0, &[(unit, 1)])])).unwrap();
    }
}
