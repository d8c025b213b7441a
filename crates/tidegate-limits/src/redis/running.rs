//! Slots that this node's running calls hold, so that they can be renewed and counted.

use ahash::RandomState;
use dashmap::DashMap;
use smallvec::SmallVec;
use tidegate_types::{CallId, OrganizationId};

use super::command::slots_of;
use crate::admit::{RateScope, ScopeLimits};

/// A running call with its slots.
pub(super) type Slots = SmallVec<[RateScope; 3]>;

/// The slots of this node.
#[derive(Default)]
pub(super) struct Running {
    calls: DashMap<(OrganizationId, CallId), Slots, RandomState>,
    counts: DashMap<(OrganizationId, RateScope), u32, RandomState>,
}

impl Running {
    pub(super) fn insert(&self, organization: OrganizationId, call: CallId, scopes: &[ScopeLimits]) {
        let slots: Slots = slots_of(scopes).map(|(scope, _)| scope).collect();
        if slots.is_empty() {
            return;
        }
        let mut held = self.calls.entry((organization, call)).or_default();
        for scope in slots {
            if !held.contains(&scope) {
                *self.counts.entry((organization, scope)).or_insert(0) += 1;
                held.push(scope);
            }
        }
    }

    pub(super) fn remove(&self, organization: OrganizationId, call: CallId) {
        let Some((_, slots)) = self.calls.remove(&(organization, call)) else { return };
        for scope in slots {
            self.counts.remove_if_mut(&(organization, scope), |_, count| {
                *count = count.saturating_sub(1);
                *count == 0
            });
        }
    }

    /// Calls of this node in flight under a scope.
    pub(super) fn count(&self, organization: OrganizationId, scope: RateScope) -> u32 {
        self.counts.get(&(organization, scope)).map_or(0, |count| *count)
    }

    /// Every running call with slots of these organizations.
    pub(super) fn list(&self, of: impl Fn(OrganizationId) -> bool) -> Vec<(OrganizationId, CallId, Slots)> {
        let calls = self.calls.iter().filter(|entry| of(entry.key().0));
        calls.map(|entry| (entry.key().0, entry.key().1, entry.value().clone())).collect()
    }
}
