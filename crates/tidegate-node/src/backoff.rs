//! How long to wait before the next try: full jitter below a ceiling that grows with the outage,
//! a first retry at once, a minute at most.

use std::time::{Duration, Instant};

use tidegate_telemetry::entropy;

/// Ceiling of the first wait.
const FIRST: Duration = Duration::from_millis(250);
/// Ceiling of the second.
const LEAST: Duration = Duration::from_secs(1);
/// Ceiling at last.
const MOST: Duration = Duration::from_secs(60);
/// A wait is at most this part of the outage so far: after a minute the other side is found again
/// within ten seconds, after six minutes the herd comes spread over one.
const PART: u32 = 6;
/// What worked for less than this has not worked.
const STEADY: Duration = Duration::from_secs(5);

/// Remembers since when nothing works.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failing_since: Option<Instant>,
}

impl Backoff {
    /// The wait after a try that lasted `worked` (zero when it failed at once).
    pub(crate) fn next(&mut self, worked: Duration) -> Duration {
        if worked >= STEADY {
            self.failing_since = None;
        }
        let outage = self.failing_since.map(|since| since.elapsed());
        self.failing_since.get_or_insert_with(Instant::now);
        jitter(ceiling(outage), entropy::random_u64())
    }
}

fn ceiling(outage: Option<Duration>) -> Duration {
    outage.map_or(FIRST, |outage| (outage / PART).clamp(LEAST, MOST))
}

fn jitter(ceiling: Duration, random: u64) -> Duration {
    ceiling.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_the_outage_to_a_minute_and_start_afresh_after_success() {
        let after = |seconds| ceiling(Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!([0, 6, 60, 300, 360, 86_400].map(after), [1, 1, 10, 50, 60, 60]);
        assert_eq!(jitter(MOST, 0), Duration::ZERO);
        assert_eq!(jitter(MOST, u64::MAX), MOST);
        let mut backoff = Backoff::default();
        assert!(backoff.next(Duration::ZERO) <= FIRST);
        backoff.failing_since = Instant::now().checked_sub(Duration::from_secs(600));
        let longest = (0..100).map(|_| backoff.next(Duration::ZERO)).max();
        assert!(longest > Some(Duration::from_secs(10)));
        assert!(backoff.next(STEADY) <= FIRST);
    }
}
