//! How long to wait before the next try: full jitter, a first retry at once, a minute at most.

use std::time::Duration;

use tidegate_telemetry::entropy;

/// Upper end of the first wait.
const FIRST: Duration = Duration::from_millis(250);
/// Upper ends of the waits after it: from this, doubling, …
const BASE: Duration = Duration::from_secs(1);
/// … to this.
const MOST: Duration = Duration::from_secs(60);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Something worked: the next wait is short again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let most = most(self.failures);
        self.failures = self.failures.saturating_add(1);
        jitter(most, entropy::random_u64())
    }
}

fn most(failures: u32) -> Duration {
    match failures {
        0 => FIRST,
        n => BASE.saturating_mul(1 << (n - 1).min(6)).min(MOST),
    }
}

fn jitter(most: Duration, random: u64) -> Duration {
    let share = random as f64 / u64::MAX as f64;
    most.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_start_afresh_after_success() {
        let mosts: Vec<u64> = (0..9).map(|n| most(n).as_millis() as u64).collect();
        assert_eq!(mosts, [250, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(jitter(MOST, 0), Duration::ZERO);
        assert_eq!(jitter(MOST, u64::MAX), MOST);
        let mut backoff = Backoff::default();
        (0..9).for_each(|_| assert!(backoff.next() <= MOST));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
