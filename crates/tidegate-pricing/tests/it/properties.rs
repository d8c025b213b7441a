//! What holds for all prices and counts.

use proptest::prelude::*;
use tidegate_pricing::{Tariff, bound, ceiling_bound, cost, validate};
use tidegate_types::resource::{Price, Unit};
use tidegate_types::usage::Usage;
use tidegate_types::{NanoUsd, PicoUsd};

use crate::fixtures::{price, tier};

const OPTIONAL: [Unit; 4] =
    [Unit::CachedInputToken, Unit::CacheWriteToken, Unit::ReasoningToken, Unit::Request];

fn prices(most: i64) -> impl Strategy<Value = Price> {
    let units = (0..=most, 0..=most, proptest::collection::vec(proptest::option::of(0..=most), 4));
    proptest::collection::btree_map(1..400_000u32, units, 0..4).prop_flat_map(move |tiers| {
        (0..=most, 0..=most).prop_map(move |(input, output)| {
            let first = tier(0, &[(Unit::InputToken, input), (Unit::OutputToken, output)]);
            let rest = tiers.iter().map(|(from, (input, output, others))| {
                let mut units = vec![(Unit::InputToken, *input), (Unit::OutputToken, *output)];
                units.extend(OPTIONAL.iter().zip(others).filter_map(|(unit, pico)| Some((*unit, (*pico)?))));
                tier(*from, &units)
            });
            price(std::iter::once(first).chain(rest).collect())
        })
    })
}

fn usages(most: u64) -> impl Strategy<Value = Usage> {
    (0..=most, 0..=most, 0..=most, 0..=most, 0..=most, 0..=1u64).prop_map(|(i, o, c, w, r, requests)| Usage {
        input_tokens: i,
        output_tokens: o,
        cached_input_tokens: c,
        cache_creation_input_tokens: w,
        reasoning_tokens: r,
        requests,
    })
}

proptest! {
    #[test]
    fn a_bound_is_never_below_a_cost_within_it(price in prices(1 << 40), usage in usages(500_000), slack in 0..1000u64) {
        prop_assert_eq!(validate(&price), Ok(()));
        let input = usage.input_tokens.max(usage.cached_input_tokens + usage.cache_creation_input_tokens);
        let output = usage.output_tokens.max(usage.reasoning_tokens);
        prop_assert!(bound(&price, input + slack, output + slack) >= cost(&price, &usage));
    }

    #[test]
    fn bounds_grow_with_the_counts(price in prices(1 << 40), i in 0..500_000u64, o in 0..500_000u64, more in 0..500_000u64) {
        let here = bound(&price, i, o);
        prop_assert!(bound(&price, i + more, o) >= here);
        prop_assert!(bound(&price, i, o + more) >= here);
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
    fn nothing_overflows(price in prices(i64::MAX), usage in usages(u64::MAX), i: u64, o: u64, ceiling: i64) {
        prop_assert!(cost(&price, &usage) >= NanoUsd::ZERO);
        prop_assert!(bound(&price, i, o) >= NanoUsd::ZERO);
        prop_assert!(ceiling_bound(PicoUsd::new(ceiling), i, o) >= NanoUsd::ZERO);
        prop_assert!(Tariff::Ceiling(PicoUsd::new(ceiling)).cost(&usage) >= NanoUsd::ZERO);
    }
}
