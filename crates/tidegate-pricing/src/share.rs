//! A part of a charge: what an answer from the response cache costs.

use tidegate_types::NanoUsd;

/// So many percent of `cost`, rounded up.
#[must_use]
pub fn share(cost: NanoUsd, percent: u8) -> NanoUsd {
    let part = i128::from(cost.get().max(0)) * i128::from(percent);
    NanoUsd::new(i64::try_from((part + 99) / 100).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_all_and_parts_that_are_rounded_up() {
        for (cost, percent, expected) in [
            (1_000, 0, 0),
            (1_000, 100, 1_000),
            (1_001, 50, 501),
            (1, 1, 1),
            (0, 100, 0),
            (i64::MAX, 100, i64::MAX),
        ] {
            assert_eq!(share(NanoUsd::new(cost), percent), NanoUsd::new(expected), "{percent} % of {cost}");
        }
    }
}
