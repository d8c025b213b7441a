//! How long answers usually are, by provider and model: what nearly all stay below, as a moving estimate.

use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::RwLock;
use tidegate_types::{ModelId, ProviderId};

/// So few streamed answers do not tell how long the others are.
pub(crate) const FEW: u64 = 16;
/// Most pairs that are remembered.
const MOST: usize = 50_000;

/// A quantile of whole answers.
#[derive(Debug)]
pub(crate) struct Typical {
    /// A step up weighs as much as so many down.
    weight: u64,
    /// Fewer answers say nothing. The longest of them is where the estimate begins: short answers end first.
    enough: u64,
    pairs: RwLock<AHashMap<(ProviderId, ModelId), Known>>,
}

/// What is known of one pair.
#[derive(Debug, Default)]
struct Known {
    length: AtomicU64,
    /// Answers seen, up to enough.
    answers: AtomicU64,
}

impl Typical {
    /// What `weight` of `weight` + 1 answers stay below, as soon as there were `enough`.
    pub(crate) fn new(weight: u64, enough: u64) -> Self {
        Self { weight, enough, pairs: RwLock::default() }
    }

    /// An answer was so long.
    pub(crate) fn note(&self, provider: ProviderId, model: ModelId, length: u64) {
        if let Some(known) = self.pairs.read().get(&(provider, model)) {
            known.note(length, self.weight, self.enough);
            return;
        }
        let mut pairs = self.pairs.write();
        if pairs.len() < MOST {
            pairs.entry((provider, model)).or_default().note(length, self.weight, self.enough);
        }
    }

    /// What is known.
    pub(crate) fn of(&self, provider: ProviderId, model: ModelId) -> Option<u64> {
        let pairs = self.pairs.read();
        let known = pairs.get(&(provider, model))?;
        (known.answers.load(Ordering::Acquire) >= self.enough).then(|| known.length.load(Ordering::Relaxed))
    }
}

impl Known {
    fn note(&self, length: u64, weight: u64, enough: u64) {
        if self.answers.load(Ordering::Relaxed) < enough {
            self.length.fetch_max(length, Ordering::Relaxed);
            self.answers.fetch_add(1, Ordering::Release);
            return;
        }
        let moved = |old: u64| {
            let down = 4 * weight;
            Some(if length > old { old + (length - old).div_ceil(4) } else { old - (old - length) / down })
        };
        let _ = self.length.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_settles_where_as_many_answers_are_shorter_as_was_asked_for() {
        let (provider, model) = (ProviderId::from_u128(1), ModelId::from_u128(2));
        for (weight, expected) in [(9, 700..=980), (19, 780..=999)] {
            let typical = Typical::new(weight, 1);
            assert_eq!(typical.of(provider, model), None);
            for n in 0..10_000_u64 {
                typical.note(provider, model, n * 7_919 % 1_000);
            }
            let known = typical.of(provider, model).unwrap_or(0);
            assert!(expected.contains(&known), "{weight}: {known}");
        }
    }

    #[test]
    fn nothing_is_known_of_few_answers_and_then_the_longest_of_them() {
        let (provider, model) = (ProviderId::from_u128(1), ModelId::from_u128(2));
        let typical = Typical::new(9, 4);
        for (length, known) in [(20, None), (900, None), (60, None), (80, Some(900))] {
            typical.note(provider, model, length);
            assert_eq!(typical.of(provider, model), known, "{length}");
        }
    }
}
