//! The system clock.

use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_types::{Clock, Timestamp};

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        // A clock set before 1970 reads as the epoch: nothing here may panic.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_after_2025_and_does_not_stand_still() {
        let first = SystemClock.now();
        assert!(first > Timestamp::from_seconds(1_735_689_600));
        while SystemClock.now() == first {}
    }
}
