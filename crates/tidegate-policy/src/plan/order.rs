//! The order of candidates: the route's draw between targets, the rank within one.

use smallvec::SmallVec;
use tidegate_types::NanoUsd;
use tidegate_types::resource::{Credential, CredentialScope};

use super::measured::{Condition, Quota, Vitals};
use super::outcome::{Candidate, Role};
use super::wishes::Sort;

/// Place of a candidate among those of its target; smaller is tried first. Fields decide in their
/// order; equal ones stay in the order of provider names, or share the calls (`sharing`). That some of its calls fail does not change
/// who pays; one that ails comes behind one that somebody else's credential is for (`eject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Place in the request's order.
    order: u16,
    /// What the request sorts by: the degraded after the others, then the metric, unknown last.
    sorted: (bool, u64),
    /// The team's own credential, the organization's own, the system's.
    class: u8,
    /// Its provider says that nothing of its quota is left.
    spent: bool,
    /// Of the credential.
    position: i32,
    degraded: bool,
    /// What a call of this size would cost at most.
    pub(super) estimate: NanoUsd,
    /// Whether the request must be translated for it.
    translated: bool,
}

impl Rank {
    pub(crate) fn new(
        credential: Option<&Credential>,
        own: bool,
        estimate: NanoUsd,
        translated: bool,
        (vitals, quota): (Vitals, Quota),
        (order, sort): (u16, Option<Sort>),
    ) -> Self {
        let degraded = vitals.condition != Condition::Fine;
        let sorted = sort.map_or((false, 0), |sort| (degraded, metric(sort, estimate, vitals)));
        let class = match credential.map(|credential| credential.scope) {
            Some(CredentialScope::Team { .. }) => 0,
            Some(CredentialScope::Organization) => 1,
            Some(CredentialScope::System) => 2,
            None => 2 - u8::from(own),
        };
        Self {
            order,
            sorted,
            class,
            spent: quota == Quota::SPENT,
            position: credential.map_or(0, |credential| credential.position),
            degraded,
            estimate,
            translated,
        }
    }

    /// Place in the request's order, where it names the provider.
    pub(crate) fn place(&self) -> Option<u16> {
        (self.order != u16::MAX).then_some(self.order)
    }
}

/// Smaller is better; what is not known is worst.
fn metric(sort: Sort, estimate: NanoUsd, vitals: Vitals) -> u64 {
    let known = match sort {
        Sort::Cost => u64::try_from(estimate.get()).ok(),
        Sort::Ttft => vitals.ttft_ms.map(u64::from),
        Sort::Tps => vitals.milli_tps.map(|tps| u64::from(u32::MAX - tps)),
    };
    known.unwrap_or(u64::MAX)
}

pub(crate) type Candidates = SmallVec<[Candidate; 1]>;

/// Puts the candidates of one target in order.
pub(crate) fn by_rank(candidates: &mut Candidates) {
    if candidates.len() > 1 {
        candidates.sort_by_key(|candidate| candidate.rank);
    }
}

/// Draws one of the targets that can answer by its weight and puts it first; the others follow in
/// the route's order. `draw` is uniform over all of `u64`.
pub(crate) fn by_draw(mut targets: SmallVec<[(u32, Candidates); 1]>, draw: u64) -> Candidates {
    targets.retain(|(_, candidates)| !candidates.is_empty());
    let total: u64 = targets.iter().map(|(weight, _)| u64::from(*weight)).sum();
    // The upper half of the product is uniform over 0..total.
    let mut ticket = ((u128::from(draw) * u128::from(total)) >> 64) as u64;
    let drawn = targets.iter().position(|(weight, _)| {
        let hit = ticket < u64::from(*weight);
        ticket = ticket.saturating_sub(u64::from(*weight));
        hit
    });
    let mut ordered = Candidates::new();
    if let Some(place) = drawn {
        let (weight, candidates) = targets.remove(place);
        ordered = candidates;
        ordered.iter_mut().for_each(|candidate| candidate.role = Role::Drawn { weight, of: total });
    }
    ordered.extend(targets.into_iter().flat_map(|(_, candidates)| candidates));
    ordered
}

/// Adds what is not there yet: the same offering with the same credential is tried once.
pub(crate) fn append_new(ordered: &mut Candidates, more: Candidates) {
    for candidate in more {
        let known = ordered.iter().any(|other| {
            other.offering.id == candidate.offering.id
                && other.credential.as_ref().map(|c| c.id) == candidate.credential.as_ref().map(|c| c.id)
        });
        if !known {
            ordered.push(candidate);
        }
    }
}
