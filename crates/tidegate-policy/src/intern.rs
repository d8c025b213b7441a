//! One copy of values that many keys share (allow lists, tags).

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// Values in use; those that nobody uses any more are dropped when the set has doubled.
#[derive(Debug)]
pub(crate) struct Interner<T> {
    values: HashSet<Arc<T>, ahash::RandomState>,
    sweep_at: usize,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: HashSet::default(), sweep_at: 64 }
    }
}

impl<T: Eq + Hash> Interner<T> {
    pub(crate) fn intern(&mut self, value: T) -> Arc<T> {
        if let Some(shared) = self.values.get(&value) {
            return Arc::clone(shared);
        }
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = (self.values.len() * 2).max(64);
        }
        let shared = Arc::new(value);
        self.values.insert(Arc::clone(&shared));
        shared
    }
}
