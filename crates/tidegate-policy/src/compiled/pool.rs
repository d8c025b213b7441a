//! Facts about pools, and the epochs of budget counters in them.

use tidegate_types::resource::{BudgetEpoch, PoolState};

use super::{Piece, text};
use crate::reason::Reason;

impl Piece for PoolState {
    type Source = Self;
    const MOST: usize = 1_000;

    fn faults(source: &Self) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::token("name", &source.name, &mut faults);
        if source.live_nodes == 0 {
            faults.push(Reason::new("live_nodes", "must be at least 1"));
        }
        faults
    }

    fn weight(source: &Self) -> usize {
        source.name.len()
    }

    fn build(source: Self, _n: u64) -> Self {
        source
    }

    fn close(self) -> Self {
        self
    }
}

impl Piece for BudgetEpoch {
    type Source = Self;
    const MOST: usize = 1_000;

    fn faults(source: &Self) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::token("pool", &source.pool, &mut faults);
        faults
    }

    fn weight(source: &Self) -> usize {
        source.pool.len()
    }

    fn build(source: Self, _n: u64) -> Self {
        source
    }

    /// Epoch 0 matches no counters: calls under a hard budget are refused until the epoch is known.
    fn close(self) -> Self {
        Self { epoch: 0, ..self }
    }
}
