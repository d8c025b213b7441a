//! How full the journal is, and for how long it will last.

use std::sync::atomic::Ordering;

use super::Shared;

/// A horizon below this is told, in seconds; it is well again at twice as much.
const HORIZON_SHORT: u64 = 3600;

/// Longest horizon that is told, in seconds: a year.
pub(super) const HORIZON_MAX: u64 = 365 * 24 * 3600;

/// How full a journal is and what is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalStatus {
    /// Records that are not acknowledged.
    pub pending_records: u64,
    /// Bytes of the segments that hold them.
    pub pending_bytes: u64,
    /// Bytes of records on disk.
    pub used_bytes: u64,
    /// Most bytes.
    pub limit_bytes: u64,
    /// Seconds until new work is refused if nothing is acknowledged and the last minute's rate
    /// goes on; a year at most, and none while there is no room.
    pub horizon_seconds: u64,
    /// Whether 80 % of the limit is used.
    pub alarm: bool,
    /// Whether new work is refused (95 % of the limit, no sound segment to be had, or one of its threads ended).
    pub refusing: bool,
}

/// The rate of appends, in bytes per second, and what was told about it.
#[derive(Debug, Default)]
pub(super) struct Rate {
    bytes: f64,
    is_short: bool,
}

impl Shared {
    pub(super) fn status(&self) -> JournalStatus {
        let pending =
            self.streams().iter().map(|stream| stream.pending()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let used_bytes = self.used_bytes.load(Ordering::Relaxed);
        let percent = |n: u64| self.limit_bytes / 100 * n;
        let is_full = used_bytes >= percent(95);
        JournalStatus {
            pending_records: pending.0,
            pending_bytes: pending.1,
            used_bytes,
            limit_bytes: self.limit_bytes,
            horizon_seconds: if is_full { 0 } else { self.horizon_seconds.load(Ordering::Relaxed) },
            alarm: used_bytes >= percent(80),
            refusing: is_full
                || self.lacks_keeper.load(Ordering::Acquire)
                || self.lanes.iter().any(|lane| lane.is_failed()),
        }
    }

    /// Bytes that may still be written before new work is refused.
    fn room(&self) -> u64 {
        (self.limit_bytes / 100 * 95).saturating_sub(self.used_bytes.load(Ordering::Relaxed))
    }

    /// Takes a sample of the rate: bytes appended since the last one, `seconds` ago.
    pub(super) fn measure(&self, rate: &mut Rate, appended: u64, seconds: f64) {
        // A minute's memory: what was measured fades by e in 60 s.
        let weight = 1.0 - (-seconds / 60.0_f64).exp();
        rate.bytes += (appended as f64 / seconds.max(0.001) - rate.bytes) * weight;
        let horizon = match self.room() {
            0 => 0,
            _ if rate.bytes < 1e-6 => HORIZON_MAX,
            room => ((room as f64 / rate.bytes) as u64).min(HORIZON_MAX),
        };
        self.horizon_seconds.store(horizon, Ordering::Relaxed);
        rate.tell(horizon);
        let alarm = self.status().alarm;
        if alarm != self.alarmed.swap(alarm, Ordering::Relaxed) {
            if alarm {
                tracing::error!(horizon_seconds = horizon, "80 % of the journal is used");
            } else {
                tracing::info!("the journal has room again");
            }
        }
    }
}

impl Rate {
    /// Says once that the horizon is short, and once that it no longer is.
    fn tell(&mut self, horizon_seconds: u64) {
        let least = if self.is_short { 2 * HORIZON_SHORT } else { HORIZON_SHORT };
        let is_short = horizon_seconds < least;
        if is_short && !self.is_short {
            tracing::warn!(
                horizon_seconds,
                "at this rate the journal is full in less than an hour if nothing is acknowledged"
            );
        } else if self.is_short && !is_short {
            tracing::info!(horizon_seconds, "the journal's horizon is beyond an hour again");
        }
        self.is_short = is_short;
    }
}
