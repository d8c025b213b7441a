//! Outlier ejection: candidates that ail are a last resort, tried when everybody else failed the call.
//! Were they more than half of all, nothing is known for sure and nobody is ejected; those that ail
//! come last all the same. One whose time is over waits for a probe, if it would come first; further
//! back it is as good as any.
//!
//! A probe is one call for the whole fleet: who may make it is decided elsewhere.

use super::measured::{Condition, Pause};
use super::order::Candidates;
use super::outcome::{Candidate, Plan};

/// Where a candidate stood before the ailing were put last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Turn {
    place: u16,
    ails: bool,
    /// It may be probed, and comes first but for others that ail.
    waits: bool,
    /// This call finds out whether it answers again.
    pub(super) probes: bool,
}

/// Ejects who ails; at least half of the candidates stay.
pub(crate) fn eject(candidates: &mut Candidates) {
    if candidates.iter().all(|candidate| !is_suspect(candidate)) {
        return;
    }
    let mut leads = true;
    for (place, candidate) in candidates.iter_mut().enumerate() {
        let waits = leads && is_half_open(candidate);
        let ails = is_suspect(candidate) && (waits || !is_over(candidate));
        leads &= ails;
        candidate.turn = Turn { place: u16::try_from(place).unwrap_or(u16::MAX), ails, waits, probes: false };
    }
    arrange(candidates);
}

fn arrange(candidates: &mut Candidates) {
    let ails = |candidate: &Candidate| candidate.turn.ails && !candidate.turn.probes;
    let ailing = candidates.iter().filter(|candidate| ails(candidate)).count();
    let panics = ailing * 2 > candidates.len();
    candidates.sort_by_key(|candidate| (ails(candidate), candidate.turn.place));
    candidates.iter_mut().for_each(|candidate| candidate.ejected = ails(candidate) && !panics);
}

/// Whether anything speaks against it.
fn is_suspect(candidate: &Candidate) -> bool {
    candidate.pause != Pause::None || candidate.vitals.condition == Condition::Down
}

/// Whether its pause was all there was, and is over.
fn is_over(candidate: &Candidate) -> bool {
    candidate.pause != Pause::Resting && candidate.vitals.condition != Condition::Down
}

/// Whether a single call may find out how it fares now.
fn is_half_open(candidate: &Candidate) -> bool {
    let down = candidate.vitals.condition == Condition::Down;
    is_suspect(candidate) && candidate.pause != Pause::Resting && (!down || candidate.vitals.due)
}

impl Plan {
    /// The candidate that this call could probe: its time is over, and nobody who is well would be tried
    /// before it. `None` where there is nobody else: then it is tried anyway.
    #[must_use]
    pub fn to_probe(&self) -> Option<&Candidate> {
        let waiting = self.candidates.iter().filter(|candidate| candidate.turn.waits);
        waiting.min_by_key(|candidate| candidate.turn.place).filter(|_| self.candidates.len() > 1)
    }

    /// Makes this call the probe of the candidate that [`Self::to_probe`] names: it takes its turn.
    pub fn probe(&mut self) {
        let waiting = self.candidates.iter_mut().filter(|candidate| candidate.turn.waits);
        if let Some(candidate) = waiting.min_by_key(|candidate| candidate.turn.place) {
            candidate.turn.probes = true;
            arrange(&mut self.candidates);
        }
    }
}
