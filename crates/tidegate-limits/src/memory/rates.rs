//! Buckets and slots of one organization in memory.

use ahash::{AHashMap, AHashSet};
use smallvec::SmallVec;
use tidegate_types::CallId;

use crate::admit::{Admit, Lease, RateScope, Rates, ScopeLimits};
use crate::error::{LimitError, RateKind, Refusal};
use crate::rate;

/// New TATs of the buckets of one call, in the order of [`buckets_of`].
pub(super) type Taken = SmallVec<[i64; 6]>;

/// Rates (bucket → TAT in microseconds) and slots (scope → calls in flight).
#[derive(Default)]
pub(super) struct Buckets {
    tats: AHashMap<(RateKind, RateScope), i64>,
    slots: AHashMap<RateScope, AHashSet<CallId>>,
}

/// The buckets that a call draws on: kind, scope, units per minute, units.
fn buckets_of(
    scopes: &[ScopeLimits],
    tokens: u64,
) -> impl Iterator<Item = (RateKind, RateScope, u32, u64)> + '_ {
    scopes.iter().flat_map(move |entry| {
        let requests = entry.limits.requests_per_minute.map(|limit| (RateKind::Requests, limit, 1));
        let tokens = entry.limits.tokens_per_minute.map(|limit| (RateKind::Tokens, limit, tokens));
        requests.into_iter().chain(tokens).map(|(kind, limit, units)| (kind, entry.scope, limit, units))
    })
}

impl Buckets {
    fn tat(&self, kind: RateKind, scope: RateScope) -> i64 {
        self.tats.get(&(kind, scope)).copied().unwrap_or(0)
    }

    /// What the call would leave in its buckets, or the first refusal: rates, then slots.
    pub(super) fn check(&self, admit: &Admit, now: i64) -> Result<Taken, LimitError> {
        let refuse = |refusal| LimitError::refused(refusal, self.states(admit, now));
        let mut taken = Taken::new();
        for (kind, scope, limit, units) in buckets_of(&admit.scopes, admit.tokens) {
            let next = rate::take(self.tat(kind, scope), now, rate::cost(units, limit)).map_err(|wait| {
                refuse(Refusal::Rate { scope, kind, limit, retry_after_ms: rate::millis_up(wait) })
            })?;
            taken.push(next);
        }
        for entry in &admit.scopes {
            let Some(limit) = entry.limits.concurrency else { continue };
            let full = self.slots.get(&entry.scope).is_some_and(|calls| {
                !calls.contains(&admit.call_id) && calls.len() >= usize::try_from(limit).unwrap_or(usize::MAX)
            });
            if full {
                return Err(refuse(Refusal::Concurrency { scope: entry.scope, limit }));
            }
        }
        Ok(taken)
    }

    /// Takes what [`Self::check`] allowed.
    pub(super) fn take(&mut self, admit: &Admit, taken: Taken, now: i64) -> Rates {
        let mut rates = Rates::default();
        for ((kind, scope, limit, _), tat) in buckets_of(&admit.scopes, admit.tokens).zip(taken) {
            self.tats.insert((kind, scope), tat);
            rates.note(kind, rate::state(tat, now, limit));
        }
        for entry in admit.scopes.iter().filter(|entry| entry.limits.concurrency.is_some()) {
            self.slots.entry(entry.scope).or_default().insert(admit.call_id);
        }
        rates
    }

    /// State of the buckets as they are.
    pub(super) fn states(&self, admit: &Admit, now: i64) -> Rates {
        let mut rates = Rates::default();
        for (kind, scope, limit, _) in buckets_of(&admit.scopes, admit.tokens) {
            rates.note(kind, rate::state(self.tat(kind, scope), now, limit));
        }
        rates
    }

    pub(super) fn give_back(&mut self, lease: &Lease, tokens_used: Option<u64>, now: i64) {
        for entry in &lease.scopes {
            if let Some(calls) = self.slots.get_mut(&entry.scope) {
                calls.remove(&lease.call_id);
                if calls.is_empty() {
                    self.slots.remove(&entry.scope);
                }
            }
            let (Some(limit), Some(used)) = (entry.limits.tokens_per_minute, tokens_used) else { continue };
            let change = rate::debt(used, limit) - rate::cost(lease.tokens, limit);
            let tat = self.tats.entry((RateKind::Tokens, entry.scope)).or_insert(0);
            *tat = ((*tat).max(now) + change).max(now);
        }
    }

    pub(super) fn forget(&mut self, now: i64) {
        self.tats.retain(|_, tat| *tat > now);
    }
}
