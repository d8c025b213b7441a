//! Keys that somebody else says were revoked, before the feed does.
//!
//! Only ever tightens: what is held of an earlier version of the key is revoked until a version comes that is not
//! older than what was said.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_types::resource::KeyStatus;
use tidegate_types::{KeyId, OrganizationId, Shard};

use crate::compiled::KeyRecord;
use crate::config::Config;

/// Most keys of a shard of which that is remembered though they are not held: nothing is served by them, and what
/// comes of them later is newer as a rule.
const MOST: usize = 20_000;

/// By which change each key is revoked at the latest.
#[derive(Debug, Default)]
pub(crate) struct Revoked(HashMap<(OrganizationId, KeyId), u64, ahash::RandomState>);

impl Revoked {
    /// What is said of a key that is held is always remembered: there are only so many.
    fn note(&mut self, key: (OrganizationId, KeyId), n: u64, is_held: bool) {
        if is_held || self.0.len() < MOST || self.0.contains_key(&key) {
            let known = self.0.entry(key).or_default();
            *known = n.max(*known);
        }
    }

    /// The status of a key's version as of change `n`; `held`: of the version before it. What that version has heard of
    /// is forgotten.
    pub(crate) fn status(
        &mut self,
        key: (OrganizationId, KeyId),
        n: u64,
        held: Option<KeyStatus>,
        own: KeyStatus,
    ) -> KeyStatus {
        match self.0.get(&key) {
            Some(revoked) if *revoked > n => KeyStatus::Revoked,
            Some(_) => {
                self.0.remove(&key);
                own
            }
            // For ever: a database that was restored to an earlier day may have forgotten it.
            None if held == Some(KeyStatus::Revoked) => KeyStatus::Revoked,
            None => own,
        }
    }
}

/// Whether this changed something.
pub(crate) fn revoke(config: &Config, organization: OrganizationId, id: KeyId, n: u64) -> bool {
    let Some(lock) = config.shards.get(Shard::of(organization).index()) else { return false };
    let mut state = lock.lock();
    let owned = state.organizations.get(&organization).is_some_and(|state| state.keys.contains(&id));
    let held = owned.then(|| config.keys.get(id)).flatten();
    if held.as_ref().is_some_and(|key| key.n >= n) {
        return false;
    }
    state.revoked.note((organization, id), n, held.is_some());
    let Some(key) = held.filter(|key| key.status != KeyStatus::Revoked) else { return false };
    config.keys.insert(Arc::new(KeyRecord { status: KeyStatus::Revoked, ..(*key).clone() }));
    true
}
