//! The rates that a caller is known to have, from the configuration alone: told where nobody was asked what is
//! left of them.

use tidegate_policy::{Plan, RateScope, View};
use tidegate_types::resource::KeyLimits;

/// Requests and tokens per minute: of each the lowest limit among the scopes that apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KnownLimits {
    pub(crate) requests: Option<u32>,
    pub(crate) tokens: Option<u32>,
}

impl KnownLimits {
    /// Of the key, its team and its organization.
    pub(crate) fn of(view: &View) -> Self {
        let team = view.team().map(|team| &team.limits);
        let scopes = [Some(&view.key().limits()), team, Some(&view.organization().organization().limits)];
        scopes.into_iter().flatten().fold(Self::default(), Self::with)
    }

    /// Those of the model that is asked first beside them.
    pub(crate) fn of_plan(plan: &Plan) -> Self {
        let first = plan.candidates.first().map(|candidate| candidate.model.id);
        let applies = |scope: RateScope| match scope {
            RateScope::Model(id) => Some(id) == first,
            RateScope::Key(_) | RateScope::Team(_) | RateScope::Organization => true,
        };
        let scopes = plan.rates.iter().filter(|rate| applies(rate.scope));
        scopes.map(|rate| &rate.limits).fold(Self::default(), Self::with)
    }

    fn with(self, limits: &KeyLimits) -> Self {
        let lower = |known: Option<u32>, other: Option<u32>| known.into_iter().chain(other).min();
        Self {
            requests: lower(self.requests, limits.requests_per_minute),
            tokens: lower(self.tokens, limits.tokens_per_minute),
        }
    }
}
