//! Refusals remembered locally, so that a hot key over its limit costs no Redis command.
//!
//! Exact for requests: until the retry-after nothing can make the same call pass. Tokens may be
//! refunded and slots be given back elsewhere, so those are remembered only briefly.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ahash::RandomState;
use dashmap::DashMap;
use tidegate_types::OrganizationId;
use tokio::time::Instant;

use crate::admit::{Admit, RateScope, Rates};
use crate::error::{RateKind, Refusal, Refused};

/// Longest time for which a token refusal is remembered.
const TOKENS: Duration = Duration::from_secs(1);
/// Time for which a concurrency refusal is remembered, unless this node gives a slot back.
const SLOTS: Duration = Duration::from_millis(25);
/// Most scopes remembered; beyond, Redis is asked.
const MOST: usize = 100_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Rate(RateKind),
    Slots,
}

struct Denial {
    until: Instant,
    since: Instant,
    /// Calls that want at least so many tokens are refused.
    tokens: u64,
    refused: Refused,
}

/// What was refused lately.
#[derive(Default)]
pub(super) struct Denied {
    entries: DashMap<(OrganizationId, RateScope, Kind), Denial, RandomState>,
    /// Number of entries, so that the common case costs one load.
    size: AtomicUsize,
    hits: AtomicU64,
}

impl Denied {
    /// A remembered refusal that still holds for this call.
    pub(super) fn check(&self, admit: &Admit) -> Option<Refused> {
        if self.size.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let now = Instant::now();
        for entry in &admit.scopes {
            let limits = entry.limits;
            let kinds = [
                (Kind::Rate(RateKind::Requests), limits.requests_per_minute),
                (Kind::Rate(RateKind::Tokens), limits.tokens_per_minute),
                (Kind::Slots, limits.concurrency),
            ];
            for (kind, limit) in kinds {
                let Some(limit) = limit else { continue };
                let Some(denial) = self.entries.get(&(admit.organization_id, entry.scope, kind)) else {
                    continue;
                };
                if denial.until > now && denial.limit() == limit && admit.tokens >= denial.tokens {
                    self.hits.fetch_add(1, Ordering::Relaxed);
                    return Some(denial.at(now));
                }
            }
        }
        None
    }

    /// Remembers a refusal by the store.
    pub(super) fn note(&self, admit: &Admit, refused: &Refused) {
        let (scope, kind, hold_for, tokens) = match refused.refusal {
            Refusal::Rate { scope, kind, retry_after_ms, .. } => {
                let wait = Duration::from_millis(retry_after_ms);
                match kind {
                    RateKind::Requests => (scope, Kind::Rate(kind), wait, 0),
                    RateKind::Tokens => (scope, Kind::Rate(kind), wait.min(TOKENS), admit.tokens),
                }
            }
            Refusal::Concurrency { scope, .. } => (scope, Kind::Slots, SLOTS, 0),
            Refusal::Budget { .. } => return,
        };
        if self.size.load(Ordering::Relaxed) >= MOST {
            return;
        }
        let since = Instant::now();
        let denial = Denial { until: since + hold_for, since, tokens, refused: refused.clone() };
        if self.entries.insert((admit.organization_id, scope, kind), denial).is_none() {
            self.size.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A call of this scope ended here: slots, and tokens perhaps, are free again.
    pub(super) fn freed(&self, organization: OrganizationId, scope: RateScope) {
        if self.size.load(Ordering::Relaxed) == 0 {
            return;
        }
        for kind in [Kind::Slots, Kind::Rate(RateKind::Tokens)] {
            if self.entries.remove(&(organization, scope, kind)).is_some() {
                self.size.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Drops what no longer holds.
    pub(super) fn forget(&self) {
        let now = Instant::now();
        self.entries.retain(|_, denial| {
            let keep = denial.until > now;
            if !keep {
                self.size.fetch_sub(1, Ordering::Relaxed);
            }
            keep
        });
    }

    /// Calls refused from here.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}

impl Denial {
    fn limit(&self) -> u32 {
        match self.refused.refusal {
            Refusal::Rate { limit, .. } | Refusal::Concurrency { limit, .. } => limit,
            Refusal::Budget { .. } => 0,
        }
    }

    /// The refusal as it reads now.
    fn at(&self, now: Instant) -> Refused {
        let gone = u64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        let mut refused = self.refused.clone();
        if let Refusal::Rate { retry_after_ms, .. } = &mut refused.refusal {
            *retry_after_ms = retry_after_ms.saturating_sub(gone).max(1);
        }
        let Rates { requests, tokens } = &mut refused.rates;
        for state in [requests, tokens].into_iter().flatten() {
            state.reset_ms = state.reset_ms.saturating_sub(gone);
        }
        refused
    }
}
