//! An organization's compiled configuration: what a call of it meets. Immutable; its parts are
//! shared with the snapshots before and after it as far as they are the same.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_types::resource::{CacheMode, Credential, PolicyScope, Team, TrustRule};
use tidegate_types::{KeyId, LabelHash, OrganizationId, ProviderSlug, Revision, RouteId, TeamId};

use crate::catalogue::Catalogue;
use crate::compiled::{Budget, Organization, Policy, Route};
use crate::plan::forbids_keeping;

pub(crate) type Map<K, V> = HashMap<K, V, ahash::RandomState>;
type Few<T> = SmallVec<[Arc<T>; 1]>;

/// Policies by what they speak of.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    organization: Vec<Arc<Policy>>,
    teams: Map<TeamId, Few<Policy>>,
    keys: Map<KeyId, Few<Policy>>,
}

impl Policies {
    pub(crate) fn new(policies: impl Iterator<Item = Arc<Policy>>) -> Self {
        let mut index = Self::default();
        for policy in policies {
            match policy.scope {
                PolicyScope::Organization => index.organization.push(policy),
                PolicyScope::Team { team_id } => index.teams.entry(team_id).or_default().push(policy),
                PolicyScope::Key { key_id } => index.keys.entry(key_id).or_default().push(policy),
            }
        }
        index
    }

    /// The policies that hold for calls of a key.
    pub(crate) fn of(&self, team: TeamId, key: KeyId) -> impl Iterator<Item = &Arc<Policy>> + Clone {
        let teams = self.teams.get(&team).map(SmallVec::as_slice).unwrap_or_default();
        let keys = self.keys.get(&key).map(SmallVec::as_slice).unwrap_or_default();
        self.organization.iter().chain(teams).chain(keys)
    }
}

/// Budgets, each under the most selective of its selectors.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    keys: Map<KeyId, Few<Budget>>,
    labels: Map<LabelHash, Few<Budget>>,
    teams: Map<TeamId, Few<Budget>>,
    rest: Vec<Arc<Budget>>,
}

impl Budgets {
    pub(crate) fn new(budgets: impl Iterator<Item = Arc<Budget>>) -> Self {
        let mut index = Self::default();
        for budget in budgets {
            let scope = &budget.scope;
            let label = scope.end_user.or(scope.tag).map(|selector| selector.hash);
            match (scope.key, label, scope.team) {
                (Some(key), _, _) => index.keys.entry(key).or_default().push(budget),
                (None, Some(label), _) => index.labels.entry(label).or_default().push(budget),
                (None, None, Some(team)) => index.teams.entry(team).or_default().push(budget),
                (None, None, None) => index.rest.push(budget),
            }
        }
        index
    }

    /// The budgets that may cover a call: every one that does is among them, at least once.
    pub(crate) fn near(
        &self,
        team: TeamId,
        key: KeyId,
        labels: impl Iterator<Item = LabelHash>,
    ) -> impl Iterator<Item = &Arc<Budget>> {
        let keys = self.keys.get(&key).map(SmallVec::as_slice).unwrap_or_default();
        let teams = self.teams.get(&team).map(SmallVec::as_slice).unwrap_or_default();
        let labelled = labels.filter_map(|label| self.labels.get(&label)).flatten();
        self.rest.iter().chain(teams).chain(keys).chain(labelled)
    }
}

/// One organization as of one revision.
#[derive(Debug, Clone)]
pub struct OrgSnapshot {
    pub(crate) organization: Arc<Organization>,
    pub(crate) revision: Revision,
    pub(crate) teams: Arc<Map<TeamId, Arc<Team>>>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) routes: Arc<Map<Arc<str>, Arc<Route>>>,
    /// The organization's and its teams' own, by provider, in the order in which they are tried.
    pub(crate) credentials: Arc<Map<ProviderSlug, Vec<Arc<Credential>>>>,
    /// The organization's own providers, models and offerings.
    pub(crate) own: Arc<Catalogue>,
    /// Whose tokens may act as a key of it.
    pub(crate) trust: Arc<Vec<Arc<TrustRule>>>,
    pub(crate) epoch: u64,
}

impl OrgSnapshot {
    /// Identity.
    #[must_use]
    pub fn id(&self) -> OrganizationId {
        self.organization.id
    }

    /// The organization itself.
    #[must_use]
    pub fn organization(&self) -> &Organization {
        &self.organization
    }

    /// The newest change of the organization that is in this snapshot (keys apart).
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The epoch of its budget counters in this node's pool; 0 while none is known.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether nothing forbids that answers to this key's calls are kept for a while: no tier of data
    /// handling, no rules of its policies.
    #[must_use]
    pub fn keeps_answers(&self, team: TeamId, key: KeyId) -> bool {
        !self.policies.of(team, key).any(|policy| {
            policy.closed || forbids_keeping(policy.zdr) || policy.cache.mode == Some(CacheMode::Off)
        })
    }

    /// How often the response cache of the route with this id was purged; `None`: it is gone.
    #[must_use]
    pub fn route_purges(&self, route: RouteId) -> Option<u64> {
        self.routes.values().find(|held| held.id == route).map(|held| held.cache_purges)
    }

    /// A team of it.
    #[must_use]
    pub fn team(&self, id: TeamId) -> Option<&Arc<Team>> {
        self.teams.get(&id)
    }

    /// The organization's own credential with this id, for tests of it on a node.
    pub fn credentials(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.credentials.values().flatten()
    }

    /// The organization's own providers, models and offerings.
    #[must_use]
    pub fn own_catalogue(&self) -> &Arc<Catalogue> {
        &self.own
    }
}
