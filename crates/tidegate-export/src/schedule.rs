//! When a collector that failed is tried again, and when a call's trace is given up.

use tidegate_types::{CallId, Timestamp};

/// Seconds after that many failures one after the other; the last one for ever.
const PAUSES: [i64; 5] = [2, 10, 30, 120, 300];
/// A trace older than this is of use to nobody.
const OLDEST_MS: i64 = 86_400_000;

/// When the collector is tried next after `failures` failures before this one. `draw` spreads by up to a
/// tenth; `retry_after` (seconds) is the collector's own wish, heard within an hour.
pub(crate) fn next(failures: u32, now: Timestamp, draw: u64, retry_after: Option<i64>) -> Timestamp {
    let place = usize::try_from(failures).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
    let pause = PAUSES.get(place).copied().unwrap_or(300);
    let spread = pause * i64::try_from(draw % 100).unwrap_or(0);
    let wished = retry_after.unwrap_or(0).clamp(0, 3_600);
    now.plus_millis(pause.max(wished) * 1000 + spread)
}

/// Whether a call is so old that its trace is not tried again.
pub(crate) fn is_old(call: CallId, now: Timestamp) -> bool {
    now.as_millis() - i64::try_from(call.unix_ms()).unwrap_or(i64::MAX) > OLDEST_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes_and_the_collectors_wish_counts() {
        let now = Timestamp::from_seconds(1_000);
        let waits: Vec<i64> =
            (0..7).map(|failures| next(failures, now, 0, None).millis_since(now) / 1000).collect();
        assert_eq!(waits, [2, 10, 30, 120, 300, 300, 300]);
        assert!(next(0, now, 99, None) > next(0, now, 0, None));
        assert_eq!(next(0, now, 0, Some(60)), now.plus_millis(60_000));
        assert_eq!(next(0, now, 0, Some(i64::MAX)), now.plus_millis(3_600_000));
    }
}
