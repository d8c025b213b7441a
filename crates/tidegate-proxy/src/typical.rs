//! How long answers usually are, by provider and model: what nearly all stay below, as a moving estimate.

use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::RwLock;
use tidegate_types::{ModelId, ProviderId};

/// Most pairs that are remembered.
const MOST: usize = 50_000;

/// A quantile of whole answers.
#[derive(Debug)]
pub(crate) struct Typical {
    /// A step up weighs as much as so many down.
    weight: u64,
    pairs: RwLock<AHashMap<(ProviderId, ModelId), AtomicU64>>,
}

impl Typical {
    /// What `weight` of `weight` + 1 answers stay below.
    pub(crate) fn new(weight: u64) -> Self {
        Self { weight, pairs: RwLock::default() }
    }

    /// An answer was so long.
    pub(crate) fn note(&self, provider: ProviderId, model: ModelId, length: u64) {
        if let Some(known) = self.pairs.read().get(&(provider, model)) {
            let moved = |old: u64| {
                let down = 4 * self.weight;
                Some(if length > old {
                    old + (length - old).div_ceil(4)
                } else {
                    old - (old - length) / down
                })
            };
            let _ = known.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
            return;
        }
        let mut pairs = self.pairs.write();
        if pairs.len() < MOST {
            pairs.insert((provider, model), AtomicU64::new(length));
        }
    }

    /// What is known.
    pub(crate) fn of(&self, provider: ProviderId, model: ModelId) -> Option<u64> {
        self.pairs.read().get(&(provider, model)).map(|known| known.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_settles_where_as_many_answers_are_shorter_as_was_asked_for() {
        let (provider, model) = (ProviderId::from_u128(1), ModelId::from_u128(2));
        for (weight, expected) in [(9, 700..=980), (19, 780..=999)] {
            let typical = Typical::new(weight);
            assert_eq!(typical.of(provider, model), None);
            for n in 0..10_000_u64 {
                typical.note(provider, model, n * 7_919 % 1_000);
            }
            let known = typical.of(provider, model).unwrap_or(0);
            assert!(expected.contains(&known), "{weight}: {known}");
        }
    }
}
