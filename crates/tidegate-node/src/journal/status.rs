//! How full the journal is, and for how long it will last.

use std::sync::atomic::Ordering;

use super::Shared;

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
    /// goes on; a year at most.
    pub horizon_seconds: u64,
    /// Whether 80 % of the limit is used.
    pub alarm: bool,
    /// Whether new work is refused (95 % of the limit, or no sound segment to be had).
    pub refusing: bool,
}

impl Shared {
    pub(super) fn status(&self) -> JournalStatus {
        let pending =
            self.streams().iter().map(|stream| stream.pending()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let used_bytes = self.used_bytes.load(Ordering::Relaxed);
        let percent = |n: u64| self.limit_bytes / 100 * n;
        JournalStatus {
            pending_records: pending.0,
            pending_bytes: pending.1,
            used_bytes,
            limit_bytes: self.limit_bytes,
            horizon_seconds: self.horizon_seconds.load(Ordering::Relaxed),
            alarm: used_bytes >= percent(80),
            refusing: used_bytes >= percent(95) || self.lanes.iter().any(|lane| lane.is_failed()),
        }
    }

    /// Takes a sample of the rate: bytes appended since the last one, `seconds` ago.
    pub(super) fn measure(&self, rate: &mut f64, appended: u64, seconds: f64) {
        // A minute's memory: what was measured fades by e in 60 s.
        let weight = 1.0 - (-seconds / 60.0_f64).exp();
        *rate += (appended as f64 / seconds.max(0.001) - *rate) * weight;
        let room = (self.limit_bytes / 100 * 95).saturating_sub(self.used_bytes.load(Ordering::Relaxed));
        let horizon = if *rate < 1e-6 { f64::MAX } else { room as f64 / *rate };
        self.horizon_seconds.store((horizon as u64).min(HORIZON_MAX), Ordering::Relaxed);
        let alarm = self.status().alarm;
        if alarm != self.alarmed.swap(alarm, Ordering::Relaxed) {
            if alarm {
                tracing::error!(horizon_seconds = horizon as u64, "80 % of the journal is used");
            } else {
                tracing::info!("the journal has room again");
            }
        }
    }
}
