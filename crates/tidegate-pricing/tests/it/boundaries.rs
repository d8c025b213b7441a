//! Money where numbers of other languages break: 2^53 nano-USD (doubles, JavaScript) and 10^14 (Lua's
//! text of numbers).

use proptest::prelude::*;
use tidegate_pricing::cost;
use tidegate_types::resource::Unit;
use tidegate_types::usage::Usage;
use tidegate_types::{NanoUsd, PicoUsd};

use crate::fixtures::{price, tier};

const EDGES: [i64; 4] = [1 << 53, 100_000_000_000_000, 1_000_000_000_000_000, i64::MAX - 3];

#[test]
fn amounts_at_the_edges_are_the_same_after_text_and_json() {
    for edge in EDGES {
        for nano in edge - 3..=edge + 3 {
            for nano in [nano, -nano] {
                let amount = NanoUsd::new(nano);
                assert_eq!(amount.to_string().parse(), Ok(amount));
                let json = serde_json::to_string(&amount).unwrap();
                assert!(json.starts_with('"'), "text, not a number: {json}");
                assert_eq!(serde_json::from_str::<NanoUsd>(&json).unwrap(), amount);
                assert!(serde_json::from_str::<NanoUsd>(&nano.to_string()).is_err(), "a number is refused");
            }
        }
    }
    for (text, nano) in [("9007199.254740993", (1 << 53) + 1), ("100000.000000001", 100_000_000_000_001)] {
        assert_eq!(text.parse(), Ok(NanoUsd::new(nano)));
    }
    for text in ["9223372036.854775808", "0.0000000001", "1e14", "1_000", "+1", " 1", "1.", ".5", ""] {
        assert!(text.parse::<NanoUsd>().is_err(), "{text}");
    }
}

#[test]
fn charges_at_the_edges_are_exact_and_rounded_up_once() {
    for edge in EDGES {
        // A pico-USD for each token: a thousand tokens are a nano-USD.
        for (tokens, over) in [(0u64, 0i64), (1, 1), (999, 1), (1_000, 1), (1_001, 2)] {
            let Some(input) = u64::try_from(edge - 5).ok().and_then(|nano| nano.checked_mul(1_000)) else {
                continue;
            };
            let listed = price(vec![tier(0, &[(Unit::InputToken, 1), (Unit::OutputToken, 1)])]);
            let usage = Usage { input_tokens: input, output_tokens: tokens, ..Usage::default() };
            assert_eq!(cost(&listed, &usage), NanoUsd::new(edge - 5 + over), "{edge} and {tokens} pico");
        }
        assert_eq!(NanoUsd::from_pico_rounded_up(i128::from(edge) * 1_000), Some(NanoUsd::new(edge)));
        assert_eq!(NanoUsd::from_pico_rounded_up(i128::from(edge) * 1_000 - 1), Some(NanoUsd::new(edge)));
        assert_eq!(
            NanoUsd::from_pico_rounded_up(i128::from(edge) * 1_000 - 1_000),
            Some(NanoUsd::new(edge - 1))
        );
    }
}

proptest! {
    /// No amount is changed by its text, whatever it is near.
    #[test]
    fn text_is_exact(edge in prop::sample::select(&EDGES[..]), off in -1_000i64..=0, pico in any::<i64>()) {
        let amount = NanoUsd::new(edge + off);
        prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        let price = PicoUsd::new(pico.max(-i64::MAX));
        prop_assert_eq!(price.to_string().parse(), Ok(price));
    }
}
