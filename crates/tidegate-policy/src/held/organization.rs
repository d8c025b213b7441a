//! Everything held of one organization, and the snapshot made from it.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_types::resource::{
    BudgetEpoch, Credential, CredentialScope, Model, PoolState, Provider, Resource, ResourceKind, Team,
    TrustRule,
};
use tidegate_types::{Digest, KeyId, ProviderSlug, Revision, Shard};

use super::table::{Change, Held, Table};
use crate::catalogue::Catalogue;
use crate::compiled::{Budget, Offering, Organization, Piece, Policy, Route, Shared};
use crate::config::OrgCell;
use crate::planted;
use crate::reason::Reason;
use crate::snapshot::{Budgets, Map, OrgSnapshot, Policies};

/// The parts of a snapshot that are rebuilt independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Section(u16);

impl Section {
    /// The part that a kind belongs to.
    pub(crate) const fn of(kind: ResourceKind) -> Self {
        match kind {
            // Own models, providers and offerings make one catalogue.
            ResourceKind::Provider | ResourceKind::Model => Self(1 << ResourceKind::Offering as u16),
            kind => Self(1 << kind as u16),
        }
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether a change of this kind is in one of them.
    pub(crate) fn has(self, kind: ResourceKind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }
}

/// One organization; also the owner of system-scope resources.
#[derive(Debug)]
pub(crate) struct OrgState {
    pub(crate) cell: Arc<OrgCell>,
    pub(crate) organization: Table<Organization>,
    pub(crate) teams: Table<Team>,
    pub(crate) policies: Table<Policy>,
    pub(crate) providers: Table<Provider>,
    pub(crate) models: Table<Model>,
    pub(crate) offerings: Table<Offering>,
    pub(crate) credentials: Table<Credential>,
    pub(crate) routes: Table<Route>,
    pub(crate) budgets: Table<Budget>,
    pub(crate) epochs: Table<BudgetEpoch>,
    pub(crate) pools: Table<PoolState>,
    pub(crate) trust: Table<TrustRule>,
    pub(crate) keys: HashSet<KeyId, ahash::RandomState>,
    pub(crate) shared: Shared,
    /// Bytes of the variable parts of everything but keys.
    pub(crate) bytes: usize,
    /// The newest change of anything but keys.
    pub(crate) n: u64,
    /// What tightens and could be neither applied nor closed.
    pub(crate) shut: HashSet<(ResourceKind, u128)>,
}

/// Puts what a change replaced in its place, and at the next use the change's version again.
pub(crate) type Swap = Box<dyn FnMut(&mut OrgState)>;

/// Puts `held` into a table, and returns what swaps the two.
fn swap<T: Piece + 'static>(
    state: &mut OrgState,
    table: fn(&mut OrgState) -> &mut Table<T>,
    id: u128,
    held: Option<Held<T>>,
) -> Swap {
    let before = table(state).swap(id, held);
    swapping(table, id, before)
}

fn swapping<T: Piece + 'static>(
    table: fn(&mut OrgState) -> &mut Table<T>,
    id: u128,
    mut other: Option<Held<T>>,
) -> Swap {
    Box::new(move |state| other = table(state).swap(id, other.take()))
}

impl OrgState {
    pub(crate) fn new(cell: Arc<OrgCell>) -> Self {
        Self {
            cell,
            organization: Table::default(),
            teams: Table::default(),
            policies: Table::default(),
            providers: Table::default(),
            models: Table::default(),
            offerings: Table::default(),
            credentials: Table::default(),
            routes: Table::default(),
            budgets: Table::default(),
            epochs: Table::default(),
            pools: Table::default(),
            trust: Table::default(),
            keys: HashSet::default(),
            shared: Shared::default(),
            bytes: 0,
            n: 0,
            shut: HashSet::default(),
        }
    }

    /// The change that made the version in force, and what it adds to the digest (keys apart).
    pub(crate) fn version(&self, kind: ResourceKind, id: u128) -> Option<(u64, Digest)> {
        match kind {
            ResourceKind::Organization => self.organization.version(id),
            ResourceKind::Team => self.teams.version(id),
            ResourceKind::Policy => self.policies.version(id),
            ResourceKind::Provider => self.providers.version(id),
            ResourceKind::Model => self.models.version(id),
            ResourceKind::Offering => self.offerings.version(id),
            ResourceKind::Credential => self.credentials.version(id),
            ResourceKind::Route => self.routes.version(id),
            ResourceKind::Budget => self.budgets.version(id),
            ResourceKind::BudgetEpoch => self.epochs.version(id),
            ResourceKind::Pool => self.pools.version(id),
            ResourceKind::TrustRule => self.trust.version(id),
            ResourceKind::Key => None,
        }
    }

    fn weight(&self, kind: ResourceKind, id: u128) -> usize {
        match kind {
            ResourceKind::Organization => self.organization.weight(id),
            ResourceKind::Team => self.teams.weight(id),
            ResourceKind::Policy => self.policies.weight(id),
            ResourceKind::Provider => self.providers.weight(id),
            ResourceKind::Model => self.models.weight(id),
            ResourceKind::Offering => self.offerings.weight(id),
            ResourceKind::Credential => self.credentials.weight(id),
            ResourceKind::Route => self.routes.weight(id),
            ResourceKind::Budget => self.budgets.weight(id),
            ResourceKind::TrustRule => self.trust.weight(id),
            ResourceKind::BudgetEpoch | ResourceKind::Pool | ResourceKind::Key => 0,
        }
    }

    /// Changes one resource and keeps count of the bytes.
    pub(crate) fn change<R>(
        &mut self,
        kind: ResourceKind,
        id: u128,
        change: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let before = self.weight(kind, id);
        let result = change(self);
        self.bytes = self.bytes.saturating_sub(before).saturating_add(self.weight(kind, id));
        result
    }

    /// Takes a version in (keys apart), and returns what takes it back.
    pub(crate) fn put(
        &mut self,
        id: u128,
        resource: Resource,
        change: Change,
        room: usize,
    ) -> Result<Option<Swap>, Vec<Reason>> {
        let kind = resource.key().kind;
        self.change(kind, id, |state| {
            Ok(Some(match resource {
                Resource::Organization(source) => {
                    swapping(|s| &mut s.organization, id, state.organization.put(id, source, change, room)?)
                }
                Resource::Team(source) => {
                    swapping(|s| &mut s.teams, id, state.teams.put(id, source, change, room)?)
                }
                Resource::Policy(source) => {
                    swapping(|s| &mut s.policies, id, state.policies.put(id, source, change, room)?)
                }
                Resource::Provider(source) => {
                    swapping(|s| &mut s.providers, id, state.providers.put(id, source, change, room)?)
                }
                Resource::Model(source) => {
                    swapping(|s| &mut s.models, id, state.models.put(id, source, change, room)?)
                }
                Resource::Offering(source) => {
                    swapping(|s| &mut s.offerings, id, state.offerings.put(id, source, change, room)?)
                }
                Resource::Credential(source) => {
                    swapping(|s| &mut s.credentials, id, state.credentials.put(id, source, change, room)?)
                }
                Resource::Route(source) => {
                    swapping(|s| &mut s.routes, id, state.routes.put(id, source, change, room)?)
                }
                Resource::Budget(source) => {
                    swapping(|s| &mut s.budgets, id, state.budgets.put(id, source, change, room)?)
                }
                Resource::BudgetEpoch(source) => {
                    swapping(|s| &mut s.epochs, id, state.epochs.put(id, source, change, room)?)
                }
                Resource::Pool(source) => {
                    swapping(|s| &mut s.pools, id, state.pools.put(id, source, change, room)?)
                }
                Resource::TrustRule(source) => {
                    swapping(|s| &mut s.trust, id, state.trust.put(id, source, change, room)?)
                }
                Resource::Key(_) => return Ok(None),
            }))
        })
    }

    /// Takes a resource out, and returns what puts it back (keys apart).
    pub(crate) fn remove(&mut self, kind: ResourceKind, id: u128) -> Option<Swap> {
        self.change(kind, id, |state| match kind {
            ResourceKind::Organization => Some(swap(state, |state| &mut state.organization, id, None)),
            ResourceKind::Team => Some(swap(state, |state| &mut state.teams, id, None)),
            ResourceKind::Policy => Some(swap(state, |state| &mut state.policies, id, None)),
            ResourceKind::Provider => Some(swap(state, |state| &mut state.providers, id, None)),
            ResourceKind::Model => Some(swap(state, |state| &mut state.models, id, None)),
            ResourceKind::Offering => Some(swap(state, |state| &mut state.offerings, id, None)),
            ResourceKind::Credential => Some(swap(state, |state| &mut state.credentials, id, None)),
            ResourceKind::Route => Some(swap(state, |state| &mut state.routes, id, None)),
            ResourceKind::Budget => Some(swap(state, |state| &mut state.budgets, id, None)),
            ResourceKind::BudgetEpoch => Some(swap(state, |state| &mut state.epochs, id, None)),
            ResourceKind::Pool => Some(swap(state, |state| &mut state.pools, id, None)),
            ResourceKind::TrustRule => Some(swap(state, |state| &mut state.trust, id, None)),
            ResourceKind::Key => None,
        })
    }

    /// Makes an unreadable resource fail closed (keys apart).
    pub(crate) fn close(&mut self, kind: ResourceKind, id: u128) {
        match kind {
            ResourceKind::Organization => self.organization.close(id, None),
            ResourceKind::Team => self.teams.close(id, None),
            ResourceKind::Policy => self.policies.close(id, None),
            ResourceKind::Provider => self.providers.close(id, None),
            ResourceKind::Model => self.models.close(id, None),
            ResourceKind::Offering => self.offerings.close(id, None),
            ResourceKind::Credential => self.credentials.close(id, None),
            ResourceKind::Route => self.routes.close(id, None),
            ResourceKind::Budget => self.budgets.close(id, None),
            ResourceKind::BudgetEpoch => self.epochs.close(id, None),
            ResourceKind::TrustRule => self.trust.close(id, None),
            ResourceKind::Pool | ResourceKind::Key => {}
        }
    }

    /// Every resource held, keys included.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (ResourceKind, u128)> {
        let of = |kind: ResourceKind, ids: Vec<u128>| ids.into_iter().map(move |id| (kind, id));
        of(ResourceKind::Organization, self.organization.ids().collect())
            .chain(of(ResourceKind::Team, self.teams.ids().collect()))
            .chain(of(ResourceKind::Policy, self.policies.ids().collect()))
            .chain(of(ResourceKind::Provider, self.providers.ids().collect()))
            .chain(of(ResourceKind::Model, self.models.ids().collect()))
            .chain(of(ResourceKind::Offering, self.offerings.ids().collect()))
            .chain(of(ResourceKind::Credential, self.credentials.ids().collect()))
            .chain(of(ResourceKind::Route, self.routes.ids().collect()))
            .chain(of(ResourceKind::Budget, self.budgets.ids().collect()))
            .chain(of(ResourceKind::BudgetEpoch, self.epochs.ids().collect()))
            .chain(of(ResourceKind::Pool, self.pools.ids().collect()))
            .chain(of(ResourceKind::TrustRule, self.trust.ids().collect()))
            .chain(self.keys.iter().map(|key| (ResourceKind::Key, key.to_u128())))
    }

    /// The snapshot after the sections in `dirty` changed; `None` while there is no organization.
    /// Unchanged sections are shared with `before`.
    pub(crate) fn assemble(
        &self,
        before: Option<&OrgSnapshot>,
        dirty: Section,
        shard: Shard,
        pool: &str,
    ) -> Option<OrgSnapshot> {
        planted::rebuilding(self);
        let organization = self.organization.in_force().next()?;
        // What had to be closed and could not be closes all of it.
        let organization = match self.shut.is_empty() {
            true => Arc::clone(organization),
            false => Arc::new((**organization).clone().close()),
        };
        let keep = |kind| before.filter(|_| !dirty.has(kind));
        let epoch = || self.epochs.in_force().find(|epoch| epoch.pool == pool).map_or(0, |epoch| epoch.epoch);
        Some(OrgSnapshot {
            organization,
            revision: Revision { shard, n: self.n },
            teams: match keep(ResourceKind::Team) {
                Some(before) => Arc::clone(&before.teams),
                None => Arc::new(self.teams.open().map(|team| (team.id, Arc::clone(team))).collect()),
            },
            policies: match keep(ResourceKind::Policy) {
                Some(before) => Arc::clone(&before.policies),
                None => Arc::new(Policies::new(sorted(self.policies.in_force(), |policy| policy.id))),
            },
            budgets: match keep(ResourceKind::Budget) {
                Some(before) => Arc::clone(&before.budgets),
                None => Arc::new(Budgets::new(sorted(self.budgets.in_force(), |budget| budget.id))),
            },
            routes: match keep(ResourceKind::Route) {
                Some(before) => Arc::clone(&before.routes),
                // The lowest id wins where two claim one name.
                None => Arc::new(
                    sorted(self.routes.in_force(), |route| std::cmp::Reverse(route.id))
                        .map(|route| (Arc::clone(&route.name), route))
                        .collect(),
                ),
            },
            credentials: match keep(ResourceKind::Credential) {
                Some(before) => Arc::clone(&before.credentials),
                None => Arc::new(self.credentials_by_provider()),
            },
            own: match keep(ResourceKind::Offering) {
                Some(before) => Arc::clone(&before.own),
                None => Arc::new(self.catalogue(Map::default())),
            },
            trust: match keep(ResourceKind::TrustRule) {
                Some(before) => Arc::clone(&before.trust),
                None => Arc::new(sorted(self.trust.open(), |rule| rule.id).collect()),
            },
            epoch: keep(ResourceKind::BudgetEpoch).map_or_else(epoch, |before| before.epoch),
        })
    }

    /// The shared catalogue, where this is the owner of system-scope resources.
    pub(crate) fn shared_catalogue(&self) -> Catalogue {
        planted::rebuilding(self);
        self.catalogue(self.credentials_by_provider())
    }

    fn catalogue(&self, credentials: Map<ProviderSlug, Vec<Arc<Credential>>>) -> Catalogue {
        Catalogue::new(
            self.models.in_force().cloned().collect(),
            self.models.closed().map(|model| model.name.clone()).collect(),
            self.providers.in_force().cloned().collect(),
            self.offerings.in_force().cloned().collect(),
            credentials,
        )
    }

    /// Teams' credentials before the organization's, then by position.
    fn credentials_by_provider(&self) -> Map<ProviderSlug, Vec<Arc<Credential>>> {
        let mut by_provider: Map<ProviderSlug, Vec<Arc<Credential>>> = Map::default();
        for credential in self.credentials.in_force() {
            by_provider.entry(credential.provider.clone()).or_default().push(Arc::clone(credential));
        }
        for credentials in by_provider.values_mut() {
            credentials.sort_unstable_by_key(|credential| {
                let shared = !matches!(credential.scope, CredentialScope::Team { .. });
                (shared, credential.position, credential.id)
            });
        }
        by_provider
    }
}

/// In the order of a key, so that the result does not depend on the order of arrival.
fn sorted<'a, T: 'a, K: Ord>(
    items: impl Iterator<Item = &'a Arc<T>>,
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = Arc<T>> {
    let mut items: Vec<_> = items.cloned().collect();
    items.sort_by_key(|item| key(item));
    items.into_iter()
}
