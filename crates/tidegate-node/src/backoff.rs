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
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    /// A row of numbers (SplitMix64).
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Simulated time: so many nodes lost a control plane together, which comes back after so long and lets in 50
    /// a second, 100 at once (`PushSettings`). Seconds until each is in, and the most tries in one second.
    fn herd(nodes: usize, outage: f64, seed: u64) -> (Vec<f64>, usize) {
        const RATE: f64 = 50.0;
        const BURST: f64 = 100.0;
        let mut state = seed;
        let mut wait = |since: Option<f64>| {
            jitter(ceiling(since.map(Duration::from_secs_f64)), random(&mut state)).as_secs_f64()
        };
        let mut tries: BinaryHeap<Reverse<Duration>> =
            (0..nodes).map(|_| Reverse(Duration::from_secs_f64(wait(None)))).collect();
        let (mut tokens, mut filled, mut inside, mut seen) = (BURST, outage, Vec::new(), Vec::new());
        while let Some(Reverse(next)) = tries.pop() {
            let at = next.as_secs_f64();
            if at >= outage {
                seen.push(at);
                tokens = f64::min(tokens + (at - filled) * RATE, BURST);
                filled = at;
                if tokens >= 1.0 {
                    tokens -= 1.0;
                    inside.push(at - outage);
                    continue;
                }
            }
            tries.push(Reverse(next + Duration::from_secs_f64(wait(Some(at)).max(0.001))));
        }
        let most = seen.iter().map(|from| seen.iter().filter(|at| (*from..from + 1.0).contains(*at)).count());
        (inside, most.max().unwrap_or(0))
    }

    #[test]
    fn a_thousand_nodes_are_back_within_a_minute_and_come_spread_over_it() {
        for (seed, outage) in [(1, 400.0), (2, 1_000.0), (3, 3_600.0)] {
            let (inside, most) = herd(1_000, outage, seed);
            let last = inside.iter().copied().fold(0.0, f64::max);
            assert_eq!(inside.len(), 1_000);
            assert!(last <= 60.0, "after {outage} s the last of a thousand is back after {last} s");
            assert!(most <= 100, "{most} tries in a second are a herd");
        }
        // Positive control: the same thousand after a second without waits of their own come all at once.
        let (_, most) = herd(1_000, 1.0, 4);
        assert!(most > 500, "{most}");
    }

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
