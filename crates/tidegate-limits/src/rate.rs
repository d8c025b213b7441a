//! The arithmetic of rates: GCRA in whole microseconds, burst of one minute.
//!
//! A bucket is one number, the theoretical arrival time (TAT) at which it is full again.
//! Knows no store; the Redis script repeats [`take`], the shared tests prove them equal.

use crate::admit::{BucketState, Rates};
use crate::error::RateKind;

/// A bucket holds one minute's worth, and takes one minute to fill.
pub(crate) const PERIOD_MICROS: i64 = 60_000_000;

/// Time that `units` take out of a bucket of `per_minute` (not 0), never more than the bucket.
pub(crate) fn cost(units: u64, per_minute: u32) -> i64 {
    debt(units, per_minute).min(PERIOD_MICROS)
}

/// As [`cost`], without the ceiling: what is owed for units that were already used.
pub(crate) fn debt(units: u64, per_minute: u32) -> i64 {
    if units == 0 {
        return 0;
    }
    let micros = u128::from(units) * u128::from(PERIOD_MICROS.unsigned_abs()) / u128::from(per_minute.max(1));
    // A day of debt is the most: a wrong count must not lock a key out for ever.
    i64::try_from(micros).unwrap_or(i64::MAX).clamp(1, 24 * 60 * PERIOD_MICROS)
}

/// Takes `cost` from the bucket: its new TAT, or the microseconds to wait.
pub(crate) fn take(tat: i64, now: i64, cost: i64) -> Result<i64, i64> {
    let next = tat.max(now) + cost;
    let wait = next - now - PERIOD_MICROS;
    if wait > 0 { Err(wait) } else { Ok(next) }
}

/// What the headers say of a bucket.
pub(crate) fn state(tat: i64, now: i64, per_minute: u32) -> BucketState {
    let filling = (tat - now).max(0);
    let free = (PERIOD_MICROS - filling).max(0);
    let remaining = i128::from(free) * i128::from(per_minute) / i128::from(PERIOD_MICROS);
    BucketState {
        limit: per_minute,
        remaining: u32::try_from(remaining).unwrap_or(per_minute),
        reset_ms: millis_up(filling),
    }
}

/// Microseconds as milliseconds, rounded up.
pub(crate) fn millis_up(micros: i64) -> u64 {
    micros.max(0).unsigned_abs().div_ceil(1000)
}

impl Rates {
    /// Notes a bucket; of each kind the one with the fewest units left stays.
    pub(crate) fn note(&mut self, kind: RateKind, state: BucketState) {
        let slot = match kind {
            RateKind::Requests => &mut self.requests,
            RateKind::Tokens => &mut self.tokens,
        };
        if slot.is_none_or(|held| state.remaining < held.remaining) {
            *slot = Some(state);
        }
    }
}
