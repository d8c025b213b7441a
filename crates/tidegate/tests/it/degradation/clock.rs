//! A clock for promises that are made for a machine that has time: it stands still while something that could run waits
//! for a processor or a disk, as Linux counts it ("some" of `/proc/pressure/cpu` and `/proc/pressure/io`).

use std::fmt;
use std::fs;
use std::time::Duration;

use tokio::time::Instant;

/// It goes so many times slower than others at most; so it goes where Linux counts nothing.
const BUSY: u32 = 5;

/// From a moment on.
pub(super) struct Clock {
    began: Instant,
    stalled: Option<Duration>,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), stalled: stalled() }
    }

    fn elapsed(&self) -> Duration {
        let elapsed = self.began.elapsed();
        let stalls = self.stalled.zip(stalled()).map(|(before, now)| now.saturating_sub(before));
        elapsed.saturating_sub(stalls.unwrap_or(elapsed)).max(elapsed / BUSY)
    }

    /// Asks until `ready` says yes, and not after `most` by this clock.
    pub(super) async fn within<F: Future<Output = bool>>(
        &self,
        most: Duration,
        what: &str,
        mut ready: impl FnMut() -> F,
    ) {
        while !ready().await {
            assert!(self.elapsed() < most, "{what}: not so after {self:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(self.elapsed() < most, "{what}: so after {self:?}, which is too late");
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:?} by other clocks)", self.elapsed(), self.began.elapsed())
    }
}

/// For how long something has waited since the machine was started.
fn stalled() -> Option<Duration> {
    // Both at once count twice: the clock goes at its slowest then.
    Some(waited("/proc/pressure/cpu")? + waited("/proc/pressure/io").unwrap_or_default())
}

fn waited(file: &str) -> Option<Duration> {
    let told = fs::read_to_string(file).ok()?;
    let some = told.lines().find(|line| line.starts_with("some "))?;
    let total = some.split(' ').find_map(|part| part.strip_prefix("total="))?;
    Some(Duration::from_micros(total.parse().ok()?))
}
