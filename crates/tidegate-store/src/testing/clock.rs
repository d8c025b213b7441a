//! Time that a test moves by hand, and ids of that time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tidegate_types::id::IdKind;
use tidegate_types::{Clock, Id, Timestamp};

/// When a [`HandClock`] begins, in seconds since 1970.
pub const START: i64 = 1_795_255_200;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct HandClock(AtomicI64);

impl HandClock {
    /// One that shows [`START`].
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START)))
    }

    /// Moves it by so many seconds.
    pub fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An id that no other call made.
pub fn new_id<K: IdKind>() -> Id<K> {
    Id::from_parts(START.unsigned_abs() * 1000, u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}
