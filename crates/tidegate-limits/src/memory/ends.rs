//! Attempts that have ended, each remembered for a while: what was asked for one earlier and comes later
//! finds it ended. Apart from open holds, of which there are few, so that those stay close together.

use std::collections::VecDeque;

use ahash::AHashSet;
use tidegate_types::CallId;

/// A call's attempt.
pub(super) type Id = (CallId, u16);

/// What is forgotten with each end beside it: as many as come, and what is left from busier times.
const IN_PASSING: usize = 4;

#[derive(Default)]
pub(super) struct Ends {
    known: AHashSet<Id>,
    /// In the order in which they are forgotten, with the time of it (microseconds): those that had an epoch,
    /// and those that never had one, which are remembered for longer.
    soon: VecDeque<(i64, Id)>,
    late: VecDeque<(i64, Id)>,
}

impl Ends {
    pub(super) fn contains(&self, id: Id) -> bool {
        self.known.contains(&id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Remembers an end until `until`; `epoch` is what its attempt was settled under (0: none).
    pub(super) fn note(&mut self, id: Id, epoch: u64, until: i64, now: i64) {
        self.forget(now, IN_PASSING);
        if self.known.insert(id) {
            let queue = if epoch == 0 { &mut self.late } else { &mut self.soon };
            queue.push_back((until, id));
        }
    }

    /// Forgets what is past keeping, at most so many of each kind.
    pub(super) fn forget(&mut self, now: i64, most: usize) {
        for queue in [&mut self.soon, &mut self.late] {
            for _ in 0..most {
                let Some((_, id)) = queue.pop_front_if(|(until, _)| *until <= now) else { break };
                self.known.remove(&id);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_remembered_for_its_time_and_what_is_left_of_busier_times_goes_in_parts() {
        let mut ends = Ends::default();
        let id = |call: u128| (CallId::from_u128(call), 0);
        // As many at once as would make a caller wait, were they forgotten at once.
        for call in 0..100 {
            ends.note(id(call), 1, 10, 0);
        }
        ends.note(id(100), 0, 1_000, 0);
        assert_eq!(ends.len(), 101);
        ends.note(id(101), 1, 20, 9);
        assert!(ends.contains(id(0)), "it has another microsecond");
        ends.note(id(102), 1, 20, 10);
        assert_eq!((ends.contains(id(3)), ends.contains(id(4)), ends.len()), (false, true, 99));
        ends.forget(20, usize::MAX);
        assert_eq!((ends.contains(id(102)), ends.contains(id(100)), ends.len()), (false, true, 1));
        ends.forget(1_000, usize::MAX);
        assert_eq!(ends.len(), 0);
    }

    #[test]
    fn an_end_that_is_told_twice_is_forgotten_once() {
        let mut ends = Ends::default();
        let id = (CallId::from_u128(1), 0);
        ends.note(id, 1, 10, 0);
        ends.note(id, 1, 10, 0);
        ends.forget(10, usize::MAX);
        ends.note(id, 1, 30, 10);
        ends.forget(20, usize::MAX);
        assert!(ends.contains(id), "the first telling took the second's time");
    }
}
