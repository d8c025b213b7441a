//! What to do about a shard of a node whose digest differs: send it anew, and when that did not help, renew it.

use std::collections::HashMap;
use std::time::Duration;

use tidegate_types::Shard;
use tokio::time::Instant;

/// A shard of a node is healed at most this often.
const PERIOD: Duration = Duration::from_secs(20);
/// So long a node has to take what it was sent anew.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Send the shard anew.
    Heal,
    /// Look again later, whether that helped.
    Wait,
    /// The node does not take what it is sent: it holds newer changes than the database has.
    Renew,
    /// Nothing, before the node says something new.
    Leave,
}

/// The shards of one node that were healed.
#[derive(Debug, Default)]
pub(crate) struct Healing(HashMap<Shard, Healed>);

#[derive(Debug)]
struct Healed {
    at: Instant,
    /// Whether it is known if that helped.
    judged: bool,
}

impl Healing {
    /// The shard's digest is as it should be.
    pub(crate) fn is_equal(&mut self, shard: Shard) {
        if let Some(healed) = self.0.get_mut(&shard) {
            healed.judged = true;
        }
    }

    /// The shard's digest differs, as the node said last.
    pub(crate) fn differs(&mut self, shard: Shard, now: Instant) -> Remedy {
        let age = self.0.get(&shard).map(|healed| now.saturating_duration_since(healed.at));
        match (self.0.get_mut(&shard), age) {
            (Some(healed), Some(age)) if !healed.judged => {
                healed.judged = age >= PATIENCE;
                if healed.judged { Remedy::Renew } else { Remedy::Wait }
            }
            (Some(_), Some(age)) if age < PERIOD => Remedy::Leave,
            _ => {
                self.0.insert(shard, Healed { at: now, judged: false });
                Remedy::Heal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_healed_then_renewed_and_never_in_a_loop() {
        let (shard, begin) = (Shard::SYSTEM, Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut healing = Healing::default();
        assert_eq!(healing.differs(shard, at(0)), Remedy::Heal);
        assert_eq!(healing.differs(shard, at(9)), Remedy::Wait);
        assert_eq!(healing.differs(shard, at(10)), Remedy::Renew);
        assert_eq!(healing.differs(shard, at(19)), Remedy::Leave, "once");
        assert_eq!(healing.differs(shard, at(20)), Remedy::Heal);
        // What helped is no reason to renew anything.
        healing.is_equal(shard);
        assert_eq!(healing.differs(shard, at(30)), Remedy::Leave);
        assert_eq!(healing.differs(shard, at(40)), Remedy::Heal);
    }
}
