//! The arithmetic of credit: what a charge takes from it, and which charges it affords. Pure.

/// A whole, in hundredths of a percent.
const WHOLE: i128 = 10_000;

/// Terms on which credit pays charges: the markup, and where it began to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// Hundredths of a percent on top of each charge.
    pub(super) markup_bps: i32,
    /// Charges paid before.
    pub(super) since_cost: i64,
    /// What they took.
    pub(super) since_charged: i64,
}

impl Terms {
    /// What charges of `cost` in all take from credit, markup included: rounded up once, so that it
    /// does not depend on how they came.
    pub(super) fn charged(&self, cost: i64) -> i64 {
        let since = i128::from(cost) - i128::from(self.since_cost);
        let marked = ceil(since * (WHOLE + i128::from(self.markup_bps)), WHOLE);
        narrow(i128::from(self.since_charged) + marked)
    }

    /// The same for a part of the charges.
    pub(super) fn part(&self, cost: i64) -> i64 {
        narrow(ceil(i128::from(cost) * (WHOLE + i128::from(self.markup_bps)), WHOLE))
    }

    /// The most charges for which `credit` is enough; nothing for a debt.
    pub(super) fn affords(&self, credit: i64) -> i64 {
        narrow((i128::from(credit.max(0)) * WHOLE).div_euclid(WHOLE + i128::from(self.markup_bps)))
    }
}

fn ceil(dividend: i128, divisor: i128) -> i128 {
    dividend.div_euclid(divisor) + i128::from(dividend.rem_euclid(divisor) != 0)
}

fn narrow(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(markup_bps: i32) -> Terms {
        Terms { markup_bps, since_cost: 0, since_charged: 0 }
    }

    #[test]
    fn without_a_markup_credit_is_money() {
        for amount in [
            0,
            1,
            99_999_999_999_999,
            100_000_000_000_000,
            100_000_000_000_001,
            (1 << 53) - 1,
            1 << 53,
            (1 << 53) + 1,
        ] {
            assert_eq!((terms(0).charged(amount), terms(0).affords(amount)), (amount, amount));
        }
        assert_eq!(terms(0).affords(-5), 0);
    }

    #[test]
    fn a_markup_is_rounded_up_once() {
        assert_eq!((terms(500).charged(1), terms(500).charged(20), terms(500).charged(21)), (2, 21, 23));
        let moved = Terms { markup_bps: 1_000, since_cost: 100, since_charged: 105 };
        assert_eq!((moved.charged(100), moved.charged(110), moved.charged(90)), (105, 116, 94));
    }

    proptest! {
        /// What is afforded never takes more than there is, and one nano-USD more would.
        #[test]
        fn what_is_afforded_fits_exactly(credit in 0..=(1i64 << 53) + 10, markup_bps in 0..=100_000) {
            let terms = terms(markup_bps);
            let cost = terms.affords(credit);
            prop_assert!(terms.charged(cost) <= credit);
            prop_assert!(terms.charged(cost + 1) > credit);
        }

        /// However charges come, they take the same.
        #[test]
        fn the_order_of_charges_does_not_matter(costs in prop::collection::vec(-1_000i64..1_000_000, 1..20), markup_bps in 0..=100_000) {
            let terms = terms(markup_bps);
            let (mut cost, mut taken) = (0, 0);
            for step in &costs {
                let before = terms.charged(cost);
                cost += step;
                taken += terms.charged(cost) - before;
            }
            prop_assert_eq!(taken, terms.charged(costs.iter().sum()));
        }
    }
}
