//! How long answers usually are, by provider and model: what nine of ten stay below, as a moving estimate.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tidegate_types::{ModelId, ProviderId};

/// Most pairs that are remembered.
const MOST: usize = 50_000;

/// Bytes of visible output of whole answers.
#[derive(Debug, Default)]
pub(crate) struct Typical(RwLock<HashMap<(ProviderId, ModelId), AtomicU64>>);

impl Typical {
    /// An answer was so long.
    pub(crate) fn note(&self, provider: ProviderId, model: ModelId, bytes: u64) {
        if let Some(known) = self.0.read().get(&(provider, model)) {
            let moved = |old: u64| {
                // Nine steps down weigh as much as one up.
                Some(if bytes > old { old + (bytes - old).div_ceil(4) } else { old - (old - bytes) / 36 })
            };
            let _ = known.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
            return;
        }
        let mut pairs = self.0.write();
        if pairs.len() < MOST {
            pairs.insert((provider, model), AtomicU64::new(bytes));
        }
    }

    /// What is known.
    pub(crate) fn of(&self, provider: ProviderId, model: ModelId) -> Option<u64> {
        self.0.read().get(&(provider, model)).map(|known| known.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_settles_where_nine_of_ten_answers_are_shorter() {
        let (typical, provider, model) =
            (Typical::default(), ProviderId::from_u128(1), ModelId::from_u128(2));
        assert_eq!(typical.of(provider, model), None);
        for n in 0..10_000_u64 {
            typical.note(provider, model, n * 7_919 % 1_000);
        }
        let known = typical.of(provider, model).unwrap_or(0);
        assert!((700..=980).contains(&known), "{known}");
    }
}
