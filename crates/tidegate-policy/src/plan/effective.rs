//! What the policies of a call demand together: the strictest of each.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_types::PicoUsd;
use tidegate_types::resource::{Areas, ZdrTier};

use super::caching::Caching;
use super::facts::CallFacts;
use crate::compiled::{Policy, Route};
use crate::view::View;

/// Attempts for one call where no policy says less.
const MAX_ATTEMPTS: u8 = 3;
/// Attempts for one call, however many models it names.
const MOST_ATTEMPTS: u8 = 12;

/// The demands of organization, team, key and request together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectivePolicy {
    /// The strictest tier.
    pub zdr: ZdrTier,
    /// Where all of them allow that it is processed; `None`: anywhere.
    pub regions: Option<Areas>,
    /// The smallest grant of output for calls under a hard budget that name none.
    pub default_max_output_tokens: Option<u32>,
    /// The dearest ceiling price that a policy names; `None`: calls without a price are refused.
    pub ceiling_price: Option<PicoUsd>,
    /// Whether no policy forbids system credentials.
    pub allow_system_credentials: bool,
    /// Whether no policy forbids credentials that requests bring along.
    pub allow_request_credentials: bool,
    /// Whether a policy permits, and none forbids, that a route carries a catalogue model's name.
    pub routes_may_shadow: bool,
    /// The fewest attempts that a policy names; else three for each model that the request names.
    pub max_attempts: u8,
    /// The route's longest time for one attempt until its first event, in milliseconds.
    pub attempt_timeout_ms: Option<u32>,
    /// The route's longest time for all attempts until the first event, in milliseconds.
    pub total_timeout_ms: Option<u32>,
    /// What is said of caches.
    pub caching: Caching,
}

/// The policies that hold for a call, and what they demand together.
pub(crate) struct Demands<'a> {
    pub(crate) policies: SmallVec<[&'a Arc<Policy>; 4]>,
    pub(crate) effective: EffectivePolicy,
    /// The first policy whose tightening could not be applied.
    pub(crate) closed: Option<&'a Arc<Policy>>,
}

impl Demands<'_> {
    /// What the route that is asked for says beside the policies.
    pub(crate) fn lay_under(&mut self, route: &Route) {
        self.effective.attempt_timeout_ms = route.attempt_timeout_ms;
        self.effective.total_timeout_ms = route.total_timeout_ms;
        let of_policies = self.policies.iter().map(|policy| (policy.cache, policy.prompt_cache_markers));
        let said = of_policies.chain([(route.cache, route.prompt_cache_markers)]);
        self.effective.caching = Caching::of(&said, self.effective.zdr);
    }

    /// Where no policy limits attempts, each of so many models has its own.
    pub(crate) fn share(&mut self, models: usize) {
        if self.policies.iter().all(|policy| policy.max_attempts.is_none()) {
            let models = u8::try_from(models).unwrap_or(u8::MAX);
            self.effective.max_attempts = MAX_ATTEMPTS.saturating_mul(models).min(MOST_ATTEMPTS);
        }
    }
}

pub(crate) fn demands<'a>(view: &'a View, facts: &CallFacts<'_>) -> Demands<'a> {
    let policies: SmallVec<[_; 4]> = view.organization.policies.of(view.key.team, view.key.id).collect();
    let shadow = |wanted| policies.iter().any(|policy| policy.routes_may_shadow == Some(wanted));
    let zdr = policies.iter().map(|policy| policy.zdr).max().unwrap_or_default().max(facts.zdr_asked);
    let confining = policies.iter().map(|policy| policy.regions).filter(|areas| !areas.is_empty());
    let effective = EffectivePolicy {
        zdr,
        regions: confining.chain(facts.wishes.within.map(Areas::from)).reduce(Areas::and),
        default_max_output_tokens: policies
            .iter()
            .filter_map(|policy| policy.default_max_output_tokens)
            .min(),
        ceiling_price: policies.iter().filter_map(|policy| policy.ceiling_price).max(),
        allow_system_credentials: policies
            .iter()
            .all(|policy| policy.allow_system_credentials != Some(false)),
        allow_request_credentials: policies
            .iter()
            .all(|policy| policy.allow_request_credentials != Some(false)),
        routes_may_shadow: shadow(true) && !shadow(false),
        max_attempts: policies.iter().filter_map(|policy| policy.max_attempts).min().unwrap_or(MAX_ATTEMPTS),
        attempt_timeout_ms: None,
        total_timeout_ms: None,
        caching: Caching::of(&policies.iter().map(|policy| (policy.cache, policy.prompt_cache_markers)), zdr),
    };
    let closed = policies.iter().copied().find(|policy| policy.closed);
    Demands { policies, effective, closed }
}
