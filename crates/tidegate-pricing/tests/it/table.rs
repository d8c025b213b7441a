//! Known prices give known charges.

use tidegate_pricing::{PriceError, Tariff, bound, cost, validate};
use tidegate_types::resource::Unit::{
    CacheWriteToken, CachedInputToken, InputToken, OutputToken, ReasoningToken, Request,
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
    };
    assert_eq!(cost(&listed, &usage), NanoUsd::new(30 * 2 + 20 * 8));
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
    let usage = Usage {
        input_tokens: u64::MAX,
        output_tokens: u64::MAX,
        cached_input_tokens: u64::MAX,
        cache_creation_input_tokens: u64::MAX,
        reasoning_tokens: u64::MAX,
        requests: u64::MAX,
    };
    assert_eq!(cost(&listed, &usage), NanoUsd::MAX);
    assert_eq!(bound(&listed, u64::MAX, u64::MAX), NanoUsd::MAX);
    assert_eq!(cost(&price(Vec::new()), &Usage::default()), NanoUsd::MAX, "no price is never free");
}

#[test]
fn a_bound_takes_the_dearest_tier_that_could_apply() {
    let listed = price(vec![
        tier(0, &[(InputToken, 9_000), (OutputToken, 9_000)]),
        tier(100, &[(InputToken, 1_000), (OutputToken, 1_000), (Request, 5_000)]),
    ]);
    assert_eq!(bound(&listed, 99, 10), NanoUsd::new(99 * 9 + 10 * 9));
    assert_eq!(bound(&listed, 150, 10), NanoUsd::new(99 * 9 + 10 * 9), "the cheaper tier comes later");
    assert_eq!(bound(&listed, 10_000, 10), NanoUsd::new(10_000 + 10 + 5));
}

#[test]
fn a_ceiling_charges_every_token_and_nothing_else() {
    let tariff = Tariff::Ceiling(PicoUsd::new(1_500));
    let usage = Usage { input_tokens: 3, output_tokens: 4, cached_input_tokens: 3, ..Usage::default() };
    assert_eq!(tariff.cost(&usage), NanoUsd::new(11));
    assert_eq!(tariff.bound(3, 4), NanoUsd::new(11));
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
}
