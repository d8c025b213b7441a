//! One server that counts: the connections to it, and what is on its way there. A cluster has one for each primary.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use super::queue::Queue;

/// One server.
pub(super) struct Shard {
    pub(super) breaker: Breaker,
    pub(super) queue: Queue,
    /// One exchange of grants at a time: the newest number is the one under way.
    pub(super) trip: tokio::sync::Mutex<()>,
    /// Rounds of exchanges that are under way.
    rounds: AtomicU32,
    /// Ends its tasks: with the limiter, or when the server is no primary any more.
    pub(super) stop: CancellationToken,
}

/// A round of exchanges; over when dropped.
pub(super) struct Round<'a>(&'a AtomicU32);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shard {
    pub(super) fn new(breaker: Breaker, stop: CancellationToken) -> Self {
        Self {
            breaker,
            queue: Queue::default(),
            trip: tokio::sync::Mutex::new(()),
            rounds: AtomicU32::new(0),
            stop,
        }
    }

    /// Begins a round of exchanges.
    pub(super) fn round(&self) -> Round<'_> {
        self.rounds.fetch_add(1, Ordering::AcqRel);
        Round(&self.rounds)
    }

    /// Whether a round is under way.
    pub(super) fn is_exchanging(&self) -> bool {
        self.rounds.load(Ordering::Acquire) > 0
    }
}
