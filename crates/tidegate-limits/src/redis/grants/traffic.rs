//! How often something is used: whether advances of it are worth their trips. Pure; times in microseconds.

use std::time::Duration;

use crate::settings::GrantSettings;

pub(super) const SECOND: i64 = 1_000_000;

/// The uses of one window, bucket or scope.
#[derive(Debug)]
pub(super) struct Traffic {
    /// Uses since this moment, a second or less before the last one.
    calls: (u32, i64),
    /// Often enough in use until then.
    busy_until: i64,
    used_at: i64,
}

impl Traffic {
    pub(super) const fn new(now: i64) -> Self {
        Self { calls: (0, now), busy_until: 0, used_at: now }
    }

    /// A use.
    pub(super) const fn note(&mut self, now: i64) {
        if now.saturating_sub(self.calls.1) > SECOND {
            self.calls = (0, now);
        }
        self.calls.0 = self.calls.0.saturating_add(1);
        self.used_at = now;
    }

    /// Whether the uses of late make it busy; for a second after the last one then.
    pub(super) const fn look(&mut self, now: i64, settings: &GrantSettings) -> bool {
        if self.calls.0 >= settings.often {
            self.busy_until = self.used_at.saturating_add(SECOND);
        }
        self.is_busy(now)
    }

    /// Whether advances of it are not worth their trips: seldom used of late, or not any more.
    pub(super) fn is_idle(&mut self, now: i64, settings: &GrantSettings) -> bool {
        !self.look(now, settings) || self.unused(now) > micros(settings.idle)
    }

    /// Whether it was found busy, not long ago.
    pub(super) const fn is_busy(&self, now: i64) -> bool {
        self.busy_until > now
    }

    /// Since the last use.
    pub(super) const fn unused(&self, now: i64) -> i64 {
        now.saturating_sub(self.used_at)
    }
}

pub(super) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
