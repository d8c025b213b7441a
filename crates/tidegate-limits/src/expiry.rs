//! How long counters and holds are kept. Times are microseconds of the store's clock.

use tidegate_types::Timestamp;
use tidegate_types::window::Window;

use crate::budget::BudgetHold;

const HOUR: i64 = 3_600_000_000;

/// Never forgotten.
pub(crate) const NEVER: i64 = i64::MAX;

/// How long the end of an attempt is remembered. One that was never held (epoch 0) is counted when
/// its settlement comes, so its repetition must be known as one for as long as the store may be
/// away in between.
pub(crate) const fn of_end(epoch: u64, ended_micros: i64) -> i64 {
    if epoch == 0 { HOUR } else { ended_micros }
}

/// When the counters of a window may be forgotten: some time after its end, and never while a
/// hold with this deadline (the last moment at which it counts as held) may be open.
pub(crate) fn of_window(window: Window, deadline: Timestamp, grace_micros: i64) -> i64 {
    let end = window.end.as_micros();
    if end == i64::MAX {
        return NEVER;
    }
    let retention = end.saturating_sub(window.start.as_micros()).clamp(HOUR, 24 * HOUR);
    end.max(deadline.as_micros().saturating_add(grace_micros)).saturating_add(retention)
}

/// When an unfinished hold may be forgotten: with the last of its windows.
pub(crate) fn of_hold(budgets: &[BudgetHold], deadline: Timestamp, grace_micros: i64) -> i64 {
    budgets
        .iter()
        .map(|part| of_window(part.window, deadline, grace_micros))
        .max()
        .unwrap_or_else(|| deadline.as_micros().saturating_add(grace_micros))
}
