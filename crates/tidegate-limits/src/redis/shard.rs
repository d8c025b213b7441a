//! One server that counts: the connections to it, and what is on its way there. A cluster has one for each primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use super::queue::Queue;

/// What all servers together count: those that are none any more too.
#[derive(Default)]
pub(super) struct Totals {
    /// Times that a breaker opened.
    pub(super) trips: AtomicU64,
    /// Jobs that were given up.
    pub(super) dropped: AtomicU64,
    /// Decisions that were not made: the keys are on another server, or on their way there.
    pub(super) moved: AtomicU64,
}

/// One server.
pub(super) struct Shard {
    pub(super) breaker: Breaker,
    pub(super) queue: Queue,
    /// One exchange of grants at a time: the newest number is the one under way.
    pub(super) trip: tokio::sync::Mutex<()>,
    /// Rounds of exchanges that are under way.
    rounds: AtomicU32,
    /// Whether it is a server at all: what waits for one is kept by one that is none.
    pub(super) is_server: bool,
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
            queue: Queue::new(Arc::clone(breaker.totals())),
            breaker,
            trip: tokio::sync::Mutex::new(()),
            rounds: AtomicU32::new(0),
            is_server: true,
            stop,
        }
    }

    /// One that is no server, for what waits until there is one.
    pub(super) fn nowhere(breaker: Breaker, stop: CancellationToken) -> Self {
        Self { is_server: false, ..Self::new(breaker, stop) }
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
