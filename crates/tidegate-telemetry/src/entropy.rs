//! Randomness: a cryptographic generator per thread, seeded by the operating system.

use rand::Rng;
use tidegate_types::Timestamp;
use tidegate_types::id::{Id, IdKind};

/// 128 random bits.
#[must_use]
pub fn random_u128() -> u128 {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// 64 random bits.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that draws randomness")]
pub fn random_u64() -> u64 {
    rand::rng().next_u64()
}

/// Fills `bytes` with randomness fit for secrets.
#[expect(clippy::disallowed_methods, reason = "this is the one place that draws randomness")]
pub fn fill(bytes: &mut [u8]) {
    rand::rng().fill_bytes(bytes);
}

/// A new id made at `now`.
#[must_use]
pub fn new_id<K: IdKind>(now: Timestamp) -> Id<K> {
    Id::from_parts(u64::try_from(now.as_millis()).unwrap_or(0), random_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(random_u128(), random_u128());
        let mut bytes = [0; 32];
        fill(&mut bytes);
        assert_ne!(bytes, [0; 32]);
    }
}
