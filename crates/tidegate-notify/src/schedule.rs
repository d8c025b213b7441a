//! When a delivery is tried again: at growing distances, a little apart from one another, for about
//! three days.

use tidegate_types::Timestamp;

/// Seconds after each failed attempt, as the Standard Webhooks specification suggests.
const PAUSES: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// When the next attempt is due after `attempts` failed ones; `None`: give up. `draw` spreads them by
/// up to a tenth, so that what failed together does not come back together.
pub(crate) fn next(attempts: u32, now: Timestamp, draw: u64) -> Option<Timestamp> {
    let pause = PAUSES.get(usize::try_from(attempts).ok()?.checked_sub(1)?)?;
    let spread = i64::try_from(draw % 100).unwrap_or(0);
    Some(now.plus_millis(pause * 1000 + pause * spread))
}

/// The receiver's own wish (`retry-after`, seconds), within an hour, where it is later.
pub(crate) fn not_before(next_at: Timestamp, now: Timestamp, retry_after: Option<i64>) -> Timestamp {
    let wished = retry_after.map_or(now, |seconds| now.plus_millis(seconds.clamp(0, 3_600) * 1000));
    next_at.max(wished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let now = Timestamp::from_seconds(1_000);
        let mut last = now;
        for attempts in 1..=9 {
            for draw in [0, 99, 12_345] {
                let next = next(attempts, now, draw).unwrap();
                assert!(next > last, "{attempts}");
            }
            last = next(attempts, now, 99).unwrap();
        }
        assert!(next(10, now, 0).is_none());
        assert!(next(0, now, 0).is_none());
    }

    #[test]
    fn the_receivers_wish_is_heard_within_an_hour() {
        let now = Timestamp::from_seconds(1_000);
        let soon = now.plus_millis(5_000);
        assert_eq!(not_before(soon, now, Some(60)), now.plus_millis(60_000));
        assert_eq!(not_before(soon, now, Some(1)), soon);
        assert_eq!(not_before(soon, now, Some(i64::MAX)), now.plus_millis(3_600_000));
        assert_eq!(not_before(soon, now, None), soon);
    }
}
