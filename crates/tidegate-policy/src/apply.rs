//! Taking changes in: each is judged alone, then the touched organizations are assembled and swapped.
//!
//! Keys come last and go straight into the index, so that a key change rebuilds nothing.

mod rebuild;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use tidegate_types::resource::{Resource, ResourceKey, ResourceKind, VirtualKey};
use tidegate_types::{Digest, KeyId, OrganizationId, Revision, Shard};

use crate::compiled::KeyRecord;
use crate::config::Config;
use crate::held::{Change, OrgState, Raw, Rejection, Section, ShardState, Swap, hashed, raw_id};
use crate::incoming::{Applied, Body, Incoming, Part, Rejected, Revocation};
use crate::planted;
use crate::reason::{Reason, one_line};
use rebuild::Done;

/// Most bytes of the variable parts of one organization's resources, keys apart.
const MOST_BYTES: usize = 64 << 20;

/// Most bytes of one key's variable parts.
const MOST_KEY_BYTES: usize = 64 << 10;

/// One batch at work on one shard.
struct Batch<'a> {
    config: &'a Config,
    shard: Shard,
    state: &'a mut ShardState,
    /// What it did to whom, so that it can be taken back.
    done: BTreeMap<OrganizationId, Vec<Done>>,
    /// Changes up to this one are already held; 0 in snapshots.
    held: u64,
    /// None of it may be applied, and none of it counts as held.
    withholds: bool,
    revoked: Vec<Revocation>,
}

pub(crate) fn apply(config: &Config, shard: Shard, changes: Vec<Incoming>, part: Part) -> Applied {
    work(config, shard, changes, part, false)
}

pub(crate) fn withhold(config: &Config, shard: Shard, mut changes: Vec<Incoming>, reason: &str) -> Applied {
    changes.iter_mut().for_each(|change| change.body = Body::Unreadable(reason.to_owned()));
    work(config, shard, changes, Part::Delta, true)
}

fn work(config: &Config, shard: Shard, changes: Vec<Incoming>, part: Part, withholds: bool) -> Applied {
    let Some(lock) = config.shards.get(shard.index()) else { return Applied::default() };
    let mut state = lock.lock();
    let held = if part == Part::Delta && !withholds { state.n } else { 0 };
    if let Part::Snapshot { first: true, .. } = part {
        state.named = Some(Default::default());
    }
    let before = state.n;
    let (done, revoked) = (BTreeMap::new(), Vec::new());
    let mut batch = Batch { config, shard, state: &mut state, done, held, withholds, revoked };
    let outcome = catch_unwind(AssertUnwindSafe(|| batch.run(changes, part)));
    let revoked = batch.revoked;
    if withholds || outcome.is_err() {
        // What was not taken must not count as held when it comes again.
        state.n = before;
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
    let rejected = state
        .rejected
        .values()
        .map(|rejection| Rejected {
            key: rejection.key.clone(),
            n: rejection.n,
            reason: rejection.reason.clone(),
        })
        .collect();
    Applied { digest: state.digest, rejected, revoked }
}

impl Batch<'_> {
    fn run(&mut self, changes: Vec<Incoming>, part: Part) {
        let (keys, others): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.key.kind == ResourceKind::Key);
        others.into_iter().for_each(|change| self.take(change));
        planted::between();
        self.assemble();
        keys.into_iter().for_each(|change| self.take(change));
        if let Part::Snapshot { last: true, .. } = part {
            self.drop_unnamed();
            self.assemble();
        }
    }

    /// A panic would be our fault; it costs this resource only.
    fn take(&mut self, mut change: Incoming) {
        let (id, fault) = match raw_id(&change.key) {
            Some(id) => (id, None),
            None => (hashed(&change.key.id), Some(Reason::new("id", "is not an id of its kind"))),
        };
        let raw = (change.key.organization_id, change.key.kind, id);
        let body = std::mem::replace(&mut change.body, Body::Deleted);
        let taken = catch_unwind(AssertUnwindSafe(|| self.take_in(&change, raw, body, fault)));
        match taken {
            Ok(Some(swap)) => {
                self.done.entry(raw.0).or_default().push(Done { raw, change: Some(change), swap });
            }
            Ok(None) => {}
            Err(_) => self.refuse(&change, raw, Reason::new("", "applying it failed")),
        }
    }

    /// What takes it back, where that can be needed.
    fn take_in(
        &mut self,
        change: &Incoming,
        raw: Raw,
        body: Body,
        mut fault: Option<Reason>,
    ) -> Option<Swap> {
        if let Some(named) = &mut self.state.named {
            named.insert(raw);
        }
        if Shard::of(change.key.organization_id) != self.shard {
            self.reject(change, raw, &[Reason::new("organization_id", "belongs to another shard")]);
            return None;
        }
        let is_held = || self.version(raw).is_some_and(|(n, _)| n == change.n);
        if change.n <= self.held || self.is_older(raw, change.n) || (self.withholds && is_held()) {
            return None;
        }
        self.state.n = self.state.n.max(change.n);
        let fault = match body {
            Body::Deleted => return self.forget(raw, change.n),
            Body::Unreadable(reason) => Reason::new("", reason),
            Body::Present(resource) => {
                fault = fault.or_else(|| contradiction(&change.key, &resource));
                match fault {
                    None => return self.put(change, raw, *resource),
                    Some(fault) => fault,
                }
            }
        };
        self.refuse(change, raw, fault);
        None
    }

    /// Never goes back to an older version, whatever a snapshot says.
    fn is_older(&self, raw: Raw, n: u64) -> bool {
        let held = self.version(raw).map_or(0, |(n, _)| n);
        let rejected = self.state.rejected.get(&raw).map_or(0, |rejection| rejection.n);
        n < held.max(rejected)
    }

    fn key(&self, (organization, _, id): Raw) -> Option<Arc<KeyRecord>> {
        let state = self.state.organizations.get(&organization)?;
        let id = KeyId::from_u128(id);
        state.keys.contains(&id).then(|| self.config.keys.get(id)).flatten()
    }

    fn version(&self, raw: Raw) -> Option<(u64, Digest)> {
        match raw {
            (_, ResourceKind::Key, _) => self.key(raw).map(|key| (key.n, key.member)),
            (organization, kind, id) => self.state.organizations.get(&organization)?.version(kind, id),
        }
    }

    fn put(&mut self, change: &Incoming, raw: Raw, resource: Resource) -> Option<Swap> {
        let before = self.version(raw);
        let member = self.member(change, true);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.compile(change, raw, resource, member)));
        match outcome {
            Ok(Ok(swap)) => {
                self.replace_member(raw, before);
                self.state.digest.add(member);
                self.unshut(raw);
                self.touch(raw, change.n);
                swap
            }
            Ok(Err(faults)) => {
                self.reject(change, raw, &faults);
                None
            }
            Err(_) => {
                self.refuse(change, raw, Reason::new("", "compiling it failed"));
                None
            }
        }
    }

    /// Compiles a resource; one that is wrong is closed here if the change tightens.
    fn compile(
        &mut self,
        change: &Incoming,
        raw: Raw,
        resource: Resource,
        member: Digest,
    ) -> Result<Option<Swap>, Vec<Reason>> {
        planted::compiling(raw);
        if let Resource::Key(source) = resource {
            return self.compile_key(change, raw, source, member).map(|()| None);
        }
        let change = Change { n: change.n, tightens: change.tightens, member };
        let state = self.organization(raw.0);
        let room = MOST_BYTES.saturating_sub(state.bytes);
        state.put(raw.2, resource, change, room)
    }

    fn compile_key(
        &mut self,
        change: &Incoming,
        raw: Raw,
        mut source: VirtualKey,
        member: Digest,
    ) -> Result<(), Vec<Reason>> {
        let mut faults = KeyRecord::faults(&source);
        if KeyRecord::weight(&source) > MOST_KEY_BYTES {
            faults.push(Reason::new("", "is too large"));
        }
        let held = self.key(raw);
        let known = held.is_some();
        if !known && self.config.keys.get(source.id).is_some() {
            faults.push(Reason::new("id", "belongs to a key of another organization"));
        }
        let before = held.as_ref().map(|key| key.status);
        source.status = self.state.revoked.status((raw.0, source.id), change.n, before, source.status);
        let loses = held.is_some_and(|key| key.loses_access(&source));
        let state = self.organization(raw.0);
        if !known && state.keys.len() >= KeyRecord::MOST {
            faults.push(Reason::new(
                "",
                format!("the organization has {} keys, the most there may be", KeyRecord::MOST),
            ));
        }
        if !faults.is_empty() {
            if change.tightens {
                self.close(raw);
            }
            return Err(faults);
        }
        state.keys.insert(source.id);
        let revocation = Revocation { organization: raw.0, key: source.id, n: change.n };
        let record = KeyRecord::build(source, Arc::clone(&state.cell), &mut state.shared, change.n, member);
        self.config.keys.insert(Arc::new(record));
        self.revoked.extend(loses.then_some(revocation));
        Ok(())
    }

    /// Rejects what cannot be taken in at all. What tightens closes its resource, and all of its organization where even
    /// that fails.
    fn refuse(&mut self, change: &Incoming, raw: Raw, fault: Reason) {
        if change.tightens && catch_unwind(AssertUnwindSafe(|| self.close(raw))).is_err() {
            self.organization(raw.0).shut.insert((raw.1, raw.2));
            self.state.stale.entry(raw.0).or_default().add(Section::of(ResourceKind::Organization));
        }
        self.reject(change, raw, &[fault]);
    }

    fn unshut(&mut self, (organization, kind, id): Raw) {
        if let Some(state) = self.state.organizations.get_mut(&organization)
            && state.shut.remove(&(kind, id))
        {
            self.state.stale.entry(organization).or_default().add(Section::of(ResourceKind::Organization));
        }
    }

    /// Keeps what is held and remembers what is wrong with the newer version.
    fn reject(&mut self, change: &Incoming, raw: Raw, faults: &[Reason]) {
        let before = self.version(raw);
        let member = self.member(change, false);
        self.replace_member(raw, before);
        self.state.digest.add(member);
        let rejection = Rejection { key: change.key.clone(), n: change.n, reason: one_line(faults), member };
        self.state.rejected.insert(raw, rejection);
        self.touch(raw, change.n);
    }

    fn close(&mut self, raw: Raw) {
        planted::closing(raw);
        let (organization, kind, id) = raw;
        match kind {
            ResourceKind::Key => {
                if let Some(key) = self.key(raw) {
                    self.config.keys.insert(Arc::new(KeyRecord { closed: true, ..(*key).clone() }));
                }
            }
            _ => self.organization(organization).close(kind, id),
        }
    }

    /// Takes a resource out, and returns what takes it in again (keys apart).
    fn forget(&mut self, raw: Raw, n: u64) -> Option<Swap> {
        let before = self.version(raw);
        self.replace_member(raw, before);
        self.unshut(raw);
        let (organization, kind, id) = raw;
        let mut swap = None;
        if let Some(state) = self.state.organizations.get_mut(&organization) {
            swap = state.remove(kind, id);
            if kind == ResourceKind::Key && state.keys.remove(&KeyId::from_u128(id)) {
                self.config.keys.remove(KeyId::from_u128(id));
            }
        }
        self.touch(raw, n);
        swap
    }

    fn drop_unnamed(&mut self) {
        let Some(named) = self.state.named.take() else { return };
        let held = self
            .state
            .organizations
            .iter()
            .flat_map(|(organization, state)| state.ids().map(|(kind, id)| (*organization, kind, id)));
        let rejected = self.state.rejected.keys().copied();
        let gone: Vec<Raw> = held.chain(rejected).filter(|raw| !named.contains(raw)).collect();
        for raw in gone {
            if let Some(swap) = self.forget(raw, 0) {
                self.done.entry(raw.0).or_default().push(Done { raw, change: None, swap });
            }
        }
    }

    /// What this version of a resource adds to the digest.
    fn member(&self, change: &Incoming, applied: bool) -> Digest {
        let revision = Revision { shard: self.shard, n: change.n };
        Digest::of_member(&change.key.to_string(), revision, &change.content_hash, applied)
    }

    /// Takes out of the digest what the resource added so far.
    fn replace_member(&mut self, raw: Raw, before: Option<(u64, Digest)>) {
        let member = match self.state.rejected.remove(&raw) {
            Some(rejection) => Some(rejection.member),
            None => before.map(|(_, member)| member),
        };
        if let Some(member) = member {
            self.state.digest.remove(member);
        }
    }

    fn organization(&mut self, id: OrganizationId) -> &mut OrgState {
        let config = self.config;
        self.state.organizations.entry(id).or_insert_with(|| OrgState::new(config.cell(id)))
    }

    fn touch(&mut self, (organization, kind, _): Raw, n: u64) {
        if kind == ResourceKind::Key {
            return;
        }
        self.state.stale.entry(organization).or_default().add(Section::of(kind));
        if let Some(state) = self.state.organizations.get_mut(&organization)
            && !self.withholds
        {
            state.n = state.n.max(n);
        }
    }
}

/// A resource that is not the one it is sent as, or has an owner that its kind cannot have.
fn contradiction(key: &ResourceKey, resource: &Resource) -> Option<Reason> {
    if resource.key() != *key {
        return Some(Reason::new("key", "is not that of the resource"));
    }
    wrong_owner(key)
}

/// Tenants own no pools, the system owns nothing but pools and the catalogue.
pub(crate) fn wrong_owner(key: &ResourceKey) -> Option<Reason> {
    let system = key.organization_id == OrganizationId::SYSTEM;
    let allowed = match key.kind {
        ResourceKind::Provider | ResourceKind::Model | ResourceKind::Offering | ResourceKind::Credential => {
            true
        }
        ResourceKind::Pool => system,
        _ => !system,
    };
    (!allowed).then(|| Reason::new("organization_id", "cannot own a resource of this kind"))
}
