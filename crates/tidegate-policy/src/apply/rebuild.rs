//! Touched organizations become snapshots. Where that panics, the changes that make it are found, taken back and
//! rejected: everything else that came with them is in force.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tidegate_types::OrganizationId;
use tidegate_types::resource::ResourceKind;

use super::Batch;
use crate::config::Config;
use crate::held::{OrgState, Raw, Section, Swap};
use crate::incoming::Incoming;
use crate::reason::Reason;
use crate::snapshot::OrgSnapshot;

/// A change of a batch that was taken in.
pub(super) struct Done {
    pub(super) raw: Raw,
    /// `None`: a snapshot did not name the resource.
    pub(super) change: Option<Incoming>,
    pub(super) swap: Swap,
}

impl Batch<'_> {
    /// Builds and swaps what was touched. What cannot be built stays as it was, and is tried again with the next batch.
    pub(super) fn assemble(&mut self) {
        let mut done = std::mem::take(&mut self.done);
        let mut left = Vec::new();
        while let Some((id, dirty)) = self.state.stale.pop_first() {
            let changes = done.remove(&id).unwrap_or_default();
            if !self.rebuild(id, dirty) && !self.take_back(id, dirty, changes) {
                left.push((id, dirty));
            }
        }
        self.state.stale.extend(left);
    }

    /// Whether it could be built.
    fn rebuild(&self, id: OrganizationId, dirty: Section) -> bool {
        let Some(state) = self.state.organizations.get(&id) else { return true };
        let swap = || match id == OrganizationId::SYSTEM {
            true => swap_shared(self.config, state, dirty),
            false => self.swap(id, state, dirty),
        };
        catch_unwind(AssertUnwindSafe(swap)).is_ok()
    }

    fn swap(&self, id: OrganizationId, state: &OrgState, dirty: Section) {
        let before = state.cell.snapshot.load_full();
        let after = state.assemble(before.as_deref(), dirty, self.shard, &self.config.pool);
        let rules =
            |snapshot: Option<&OrgSnapshot>| snapshot.map(|one| Arc::clone(&one.trust)).unwrap_or_default();
        let (old, new) = (rules(before.as_deref()), rules(after.as_ref()));
        rebind(self.config, id, before.as_deref(), after.as_ref());
        state.cell.snapshot.store(after.map(Arc::new));
        if !Arc::ptr_eq(&old, &new) {
            self.config.trust.replace(id, &old, &new);
        }
    }

    /// Takes all of a batch's changes back, and in again one by one; those with which it cannot be built are rejected.
    /// Whether it could be built at last.
    fn take_back(&mut self, id: OrganizationId, dirty: Section, mut changes: Vec<Done>) -> bool {
        changes.iter_mut().rev().for_each(|done| self.toggle(done));
        let mut is_sound = self.rebuild(id, dirty);
        for mut done in changes {
            self.toggle(&mut done);
            let n = done.change.as_ref().map_or(0, |change| change.n);
            if is_sound && self.rebuild(id, dirty) {
                self.own(done.raw, n);
                continue;
            }
            self.toggle(&mut done);
            let Some(change) = done.change else { continue };
            if self.state.rejected.get(&done.raw).is_none_or(|rejection| rejection.n < n) {
                self.refuse(&change, done.raw, Reason::new("", "the organization cannot be built with it"));
            }
            is_sound = self.rebuild(id, dirty);
        }
        is_sound
    }

    /// Puts the other of two versions in force, in the tables and in the digest.
    fn toggle(&mut self, done: &mut Done) {
        let (organization, kind, id) = done.raw;
        let before = self.version(done.raw);
        self.organization(organization).change(kind, id, |state| (done.swap)(state));
        let after = self.version(done.raw);
        if !self.state.rejected.contains_key(&done.raw) {
            before.into_iter().for_each(|(_, member)| self.state.digest.remove(member));
            after.into_iter().for_each(|(_, member)| self.state.digest.add(member));
        }
    }

    /// The version is in force: what was rejected before it is forgotten.
    fn own(&mut self, raw: Raw, n: u64) {
        if self.state.rejected.get(&raw).is_some_and(|rejection| rejection.n < n)
            && let Some(rejection) = self.state.rejected.remove(&raw)
        {
            self.state.digest.remove(rejection.member);
            self.version(raw).into_iter().for_each(|(_, member)| self.state.digest.add(member));
        }
    }
}

/// Notes which issuers are bound to the organization from now on.
fn rebind(config: &Config, id: OrganizationId, before: Option<&OrgSnapshot>, after: Option<&OrgSnapshot>) {
    let issuers = |snapshot: Option<&OrgSnapshot>| {
        snapshot.map(|one| one.organization.bound_issuers.clone()).unwrap_or_default()
    };
    let (old, new) = (issuers(before), issuers(after));
    if old != new {
        config.trust.rebind(id, &old, &new);
    }
}

fn swap_shared(config: &Config, state: &OrgState, dirty: Section) {
    if dirty.has(ResourceKind::Pool)
        && let Some(pool) = state.pools.in_force().find(|pool| *pool.name == *config.pool)
    {
        config.pool_state.store(Arc::clone(pool));
    }
    if dirty.has(ResourceKind::Offering) || dirty.has(ResourceKind::Credential) {
        config.catalogue.store(Arc::new(state.shared_catalogue()));
    }
}
