//! What holds for all prices and counts.

use proptest::prelude::*;
use tidegate_pricing::{Tariff, bound, cost, validate};
use tidegate_types::resource::{Price, Unit};
use tidegate_types::usage::Usage;
use tidegate_types::{NanoUsd, PicoUsd};

use crate::fixtures::{price, tier};

/// Every unit but input and output tokens, which every price here has.
fn optional() -> Vec<Unit> {
    Unit::ALL.into_iter().filter(|unit| !matches!(unit, Unit::InputToken | Unit::OutputToken)).collect()
}

fn prices(most: i64) -> impl Strategy<Value = Price> {
    let tier_of = move || {
        (0..=most, 0..=most, proptest::collection::vec(proptest::option::of(0..=most), optional().len()))
    };
    let tiers = proptest::collection::btree_map(1..400_000u32, tier_of(), 0..4);
    (tier_of(), tiers).prop_map(|(first, rest)| {
        let tiers = std::iter::once((0, first)).chain(rest).map(|(from, (input, output, others))| {
            let mut units = vec![(Unit::InputToken, input), (Unit::OutputToken, output)];
            units.extend(optional().iter().zip(others).filter_map(|(unit, pico)| Some((*unit, pico?))));
            tier(from, &units)
        });
        price(tiers.collect())
    })
}

fn usages(most: u64) -> impl Strategy<Value = Usage> {
    let counts = proptest::array::uniform16(0..=most);
    // Parts above their totals are told now and then; as a rule they are not.
    (counts, any::<bool>(), 0..=1u64).prop_map(move |(counts, wild, requests)| {
        let usage = Usage { requests, ..Usage::from_counts(counts) };
        if wild {
            return usage;
        }
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let written = usage.cache_creation_input_tokens.min(usage.input_tokens - cached);
        Usage {
            cached_input_tokens: cached,
            cache_creation_input_tokens: written,
            cache_creation_1h_input_tokens: usage.cache_creation_1h_input_tokens.min(written),
            audio_input_tokens: usage.audio_input_tokens.min(usage.input_tokens),
            image_input_tokens: usage.image_input_tokens.min(usage.input_tokens),
            reasoning_tokens: usage.reasoning_tokens.min(usage.output_tokens),
            audio_output_tokens: usage.audio_output_tokens.min(usage.output_tokens),
            image_output_tokens: usage.image_output_tokens.min(usage.output_tokens),
            ..usage
        }
    })
}

/// What covers a usage, as one would know it before: no cached, written or reasoning tokens.
fn covering(usage: &Usage, slack: u64) -> Usage {
    let written = usage.cache_creation_input_tokens.max(usage.cache_creation_1h_input_tokens);
    let counts = Usage {
        input_tokens: usage.input_tokens.max(usage.cached_input_tokens + written),
        output_tokens: usage.output_tokens.max(usage.reasoning_tokens),
        ..*usage
    }
    .counts()
    .map(|count| count + slack);
    Usage {
        cached_input_tokens: 0,
        cache_creation_input_tokens: 0,
        reasoning_tokens: 0,
        ..Usage::from_counts(counts)
    }
}

proptest! {
    #[test]
    fn a_bound_is_never_below_a_cost_within_it(price in prices(1 << 40), usage in usages(500_000), slack in 0..1000u64) {
        prop_assert_eq!(validate(&price), Ok(()));
        prop_assert!(bound(&price, &covering(&usage, slack)) >= cost(&price, &usage));
    }

    #[test]
    fn bounds_grow_with_every_count(price in prices(1 << 40), usage in usages(500_000), at in 0..16usize, more in 0..500_000u64) {
        let mut counts = usage.counts();
        counts[at] += more;
        prop_assert!(bound(&price, &Usage::from_counts(counts)) >= bound(&price, &usage));
    }

    #[test]
    fn what_is_not_asked_for_is_not_held(price in prices(1 << 40), input in 0..500_000u64, output in 0..500_000u64) {
        let plain = Usage { input_tokens: input, output_tokens: output, ..Usage::default() };
        let mut without = price.clone();
        for tier in &mut without.tiers {
            tier.prices.retain(|entry| matches!(
                entry.unit,
                Unit::InputToken | Unit::OutputToken | Unit::CachedInputToken | Unit::CacheWriteToken
                    | Unit::ReasoningToken | Unit::Request
            ));
        }
        prop_assert_eq!(bound(&price, &plain), bound(&without, &plain));
    }

    #[test]
    fn more_output_never_costs_less(price in prices(1 << 40), usage in usages(500_000), more in 0..500_000u64) {
        let dearer = Usage { output_tokens: usage.output_tokens + more, ..usage };
        prop_assert!(cost(&price, &dearer) >= cost(&price, &usage));
    }

    #[test]
    fn one_flat_price_equals_plain_arithmetic_rounded_up_once(i in 0..1i64 << 40, o in 0..1i64 << 40, a in 0..1u64 << 30, b in 0..1u64 << 30) {
        let listed = price(vec![tier(0, &[(Unit::InputToken, i), (Unit::OutputToken, o)])]);
        let usage = Usage { input_tokens: a, output_tokens: b, ..Usage::default() };
        let exact = i128::from(i) * i128::from(a) + i128::from(o) * i128::from(b);
        let nano = (exact + 999) / 1000;
        let wanted = i64::try_from(nano).map_or(NanoUsd::MAX, NanoUsd::new);
        prop_assert_eq!(cost(&listed, &usage), wanted);
    }

    #[test]
    fn nothing_overflows(price in prices(i64::MAX), usage in usages(u64::MAX), ceiling: i64) {
        prop_assert!(cost(&price, &usage) >= NanoUsd::ZERO);
        prop_assert!(bound(&price, &usage) >= NanoUsd::ZERO);
        prop_assert!(Tariff::Ceiling(PicoUsd::new(ceiling)).bound(&usage) >= NanoUsd::ZERO);
        prop_assert!(Tariff::Ceiling(PicoUsd::new(ceiling)).cost(&usage) >= NanoUsd::ZERO);
    }
}
