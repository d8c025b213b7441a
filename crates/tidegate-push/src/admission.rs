//! How many new streams and enrolments may begin: a token bucket, so that a herd of reconnecting
//! nodes is spread over time. Whoever is refused comes back after a jittered back-off.

use parking_lot::Mutex;
use tidegate_types::Timestamp;

/// A token bucket. Time comes as an argument.
#[derive(Debug)]
pub(crate) struct Admission {
    per_second: u32,
    burst: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    // Millionths of a token: one token per second is one millionth per microsecond.
    millionths: u64,
    filled_at: Timestamp,
}

const TOKEN: u64 = 1_000_000;

impl Admission {
    /// `per_second` new ones on average, `burst` at once.
    pub(crate) fn new(per_second: u32, burst: u32, now: Timestamp) -> Self {
        let state = Mutex::new(State { millionths: u64::from(burst) * TOKEN, filled_at: now });
        Self { per_second, burst, state }
    }

    /// Takes a token; refused: how many milliseconds until there is one.
    pub(crate) fn take(&self, now: Timestamp) -> Result<(), u64> {
        let mut state = self.state.lock();
        let elapsed = now.as_micros().saturating_sub(state.filled_at.as_micros()).max(0).unsigned_abs();
        let filled = state.millionths.saturating_add(elapsed.saturating_mul(u64::from(self.per_second)));
        state.millionths = filled.min(u64::from(self.burst) * TOKEN);
        state.filled_at = now;
        match state.millionths.checked_sub(TOKEN) {
            Some(rest) => {
                state.millionths = rest;
                Ok(())
            }
            None => Err((TOKEN - state.millionths).div_ceil(u64::from(self.per_second.max(1)) * 1000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let at = Timestamp::from_millis;
        let admission = Admission::new(10, 3, at(0));
        assert!((0..3).all(|_| admission.take(at(0)).is_ok()));
        assert_eq!(admission.take(at(0)), Err(100));
        assert_eq!(admission.take(at(50)), Err(50));
        assert!(admission.take(at(100)).is_ok());
        assert!(admission.take(at(100)).is_err());
        assert_eq!(
            (0..100).filter(|_| admission.take(at(60_000)).is_ok()).count(),
            3,
            "never more than the burst"
        );
        assert!(admission.take(at(0)).is_err(), "a clock that goes back fills nothing");
    }
}
