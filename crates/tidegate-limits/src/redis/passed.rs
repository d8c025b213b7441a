//! Counts calls that passed, by who decided.

use std::sync::atomic::{AtomicU64, Ordering};

use super::decide::Decision;
use crate::admit::Source;
use crate::stats::Passed;

/// One for each who decides.
#[derive(Debug, Default)]
pub(super) struct Counts {
    grants: AtomicU64,
    store: AtomicU64,
    share: AtomicU64,
}

impl Counts {
    /// Notes a decision; one without limits and budgets needs nobody.
    pub(super) fn note(&self, decision: &Decision) {
        let count = match decision.source {
            Source::Store => &self.store,
            Source::Share => &self.share,
            Source::Grant => &self.grants,
            Source::Here if decision.held.in_advance => &self.grants,
            Source::Here => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Passed {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Passed { by_grants: load(&self.grants), by_store: load(&self.store), by_share: load(&self.share) }
    }
}
