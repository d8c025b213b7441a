//! When this node last knew that it held what the control plane has.
//!
//! Told to the configuration at once, which refuses organizations for which it is too long ago.
//! Kept on disk, so that a restart does not begin the time anew. What counts: the end of a
//! synchronisation, and behind it each delta and each `Current`. An open connection does not: a
//! control plane that is cut off from its database keeps one as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tidegate_policy::Config;
use tidegate_types::{Clock, Timestamp};

use crate::error::NodeError;
use crate::state::State;

const FILE: &str = "contact";
/// Between two writings: as much is lost by a kill, to the safe side.
const KEEP_EVERY_MILLIS: i64 = 10_000;

/// The node's contact with the control plane.
pub(crate) struct Contact {
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    /// The present stream has brought everything once.
    in_step: AtomicBool,
    /// The time on disk, in microseconds.
    kept: AtomicI64,
}

impl Contact {
    /// Goes on from the time that the disk tells; from none, nothing is served before the first
    /// contact.
    pub(crate) fn restore(config: Arc<Config>, clock: Arc<dyn Clock>, state: &State) -> Self {
        // A time to come would stretch what an organization allows.
        let kept = read(state).min(clock.now());
        config.confirm(kept);
        let (in_step, kept) = (AtomicBool::new(false), AtomicI64::new(kept.as_micros()));
        Self { config, clock, in_step, kept }
    }

    /// A new stream begins: nothing is known until it has brought everything.
    pub(crate) fn restart(&self) {
        self.in_step.store(false, Ordering::Release);
    }

    /// Whether the present stream, or the last one, has brought everything.
    pub(crate) fn is_in_step(&self) -> bool {
        self.in_step.load(Ordering::Acquire)
    }

    /// The stream has brought everything.
    pub(crate) fn synchronised(&self) -> Option<Timestamp> {
        self.in_step.store(true, Ordering::Release);
        self.confirm()
    }

    /// The control plane has just said that this is all, or sent what was new. The time to be
    /// kept on disk, when it is due.
    pub(crate) fn confirm(&self) -> Option<Timestamp> {
        if !self.in_step.load(Ordering::Acquire) {
            return None;
        }
        let now = self.clock.now();
        self.config.confirm(now);
        let kept = Timestamp::from_micros(self.kept.load(Ordering::Relaxed));
        // Also after a clock was set back.
        let due = now.millis_since(kept).unsigned_abs() >= KEEP_EVERY_MILLIS.unsigned_abs();
        due.then(|| {
            self.kept.store(now.as_micros(), Ordering::Relaxed);
            now
        })
    }

    /// The last one.
    pub(crate) fn last(&self) -> Timestamp {
        self.config.confirmed_at()
    }
}

/// Keeps a time on disk.
pub(crate) fn write(state: &State, at: Timestamp) -> Result<(), NodeError> {
    state.write(FILE, &at.as_micros().to_be_bytes())
}

fn read(state: &State) -> Timestamp {
    let bytes = state.read(FILE).unwrap_or_else(|error| {
        tracing::error!(%error, "the time of the last contact is damaged: nothing is served before the next");
        None
    });
    let micros = bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map_or(0, i64::from_be_bytes);
    Timestamp::from_micros(micros)
}
