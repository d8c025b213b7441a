//! What a node holds, shared by everything in it: organizations, keys, the catalogue.
//!
//! Readers take a [`View`] without waiting for writers; writers lock one shard (`apply`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;
use tidegate_types::resource::{KeyStatus, PoolState, TrustRule, VirtualKey};
use tidegate_types::{Digest, KeyId, OrganizationId, Shard, Timestamp};

use crate::catalogue::Catalogue;
use crate::held::ShardState;
use crate::incoming::{Applied, Incoming, Part};
use crate::key_index::KeyIndex;
use crate::snapshot::OrgSnapshot;
use crate::trust::TrustIndex;
use crate::view::View;

/// Where an organization's current snapshot is found; its keys point here.
#[derive(Debug, Default)]
pub(crate) struct OrgCell {
    pub(crate) snapshot: ArcSwapOption<OrgSnapshot>,
}

type Cells = RwLock<HashMap<OrganizationId, Arc<OrgCell>, ahash::RandomState>>;

/// How much is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Organizations that are in force.
    pub organizations: usize,
    /// Virtual keys.
    pub keys: usize,
    /// Models of the shared catalogue.
    pub models: usize,
}

/// The configuration of one node.
#[derive(Debug)]
pub struct Config {
    pub(crate) pool: Arc<str>,
    pub(crate) shards: [Mutex<ShardState>; Shard::COUNT],
    pub(crate) keys: KeyIndex,
    pub(crate) trust: TrustIndex,
    pub(crate) catalogue: ArcSwap<Catalogue>,
    pub(crate) pool_state: ArcSwap<PoolState>,
    /// Microseconds; see [`Config::confirm`].
    confirmed: AtomicI64,
    cells: [Cells; 64],
}

impl Config {
    /// Holds nothing yet. `pool`: the pool of this node, whose epochs and facts count. Never stale
    /// until [`Config::confirm`] says as of when it is right.
    #[must_use]
    pub fn new(pool: &str) -> Self {
        Self {
            pool: pool.into(),
            shards: std::array::from_fn(|_| Mutex::default()),
            keys: KeyIndex::new(),
            trust: TrustIndex::default(),
            catalogue: ArcSwap::default(),
            pool_state: ArcSwap::from_pointee(PoolState { name: pool.to_owned(), live_nodes: 1 }),
            confirmed: AtomicI64::new(i64::MAX),
            cells: std::array::from_fn(|_| Cells::default()),
        }
    }

    /// Takes changes of one shard in their order. Only what they touch is rebuilt; a resource that
    /// is wrong is rejected alone and keeps its last good version, unless the change tightens:
    /// then the resource fails closed. A delta's changes that are already held are skipped.
    pub fn apply(&self, shard: Shard, changes: Vec<Incoming>, part: Part) -> Applied {
        crate::apply::apply(self, shard, changes, part)
    }

    /// Rejects changes of one shard for this reason, without looking into them: resources keep their last good versions,
    /// and fail closed where a change tightens. The same changes can come again, and are taken then.
    pub fn withhold(&self, shard: Shard, changes: Vec<Incoming>, reason: &str) -> Applied {
        crate::apply::withhold(self, shard, changes, reason)
    }

    /// Somebody who has heard of it says that a key was revoked by change `n` of its organization's shard: it is, here
    /// too, until a version comes that is not older. Whether that changes something.
    pub fn revoke(&self, organization: OrganizationId, key: KeyId, n: u64) -> bool {
        crate::revoked::revoke(self, organization, key, n)
    }

    /// Whether this version of a key would take access from whoever holds the key now. Nothing changes.
    #[must_use]
    pub fn takes_access(&self, next: &VirtualKey) -> bool {
        next.status != KeyStatus::Active || self.keys.get(next.id).is_some_and(|key| key.loses_access(next))
    }

    /// Everything that a request needs to know of its key; `None` for a key that is not known.
    /// One snapshot: later changes do not show in it. No I/O, no waiting for writers.
    #[must_use]
    pub fn view(&self, key: KeyId) -> Option<View> {
        let key = self.keys.get(key)?;
        let organization = key.cell.snapshot.load_full()?;
        Some(View {
            organization,
            catalogue: self.catalogue.load_full(),
            key,
            confirmed: self.confirmed_at(),
        })
    }

    /// The organization's trust rules that speak of this issuer's tokens for this audience. Nothing is said
    /// yet about the token's claims or its signature. No I/O.
    #[must_use]
    pub fn trusting(
        &self,
        organization: OrganizationId,
        issuer: &str,
        audience: &str,
    ) -> SmallVec<[Arc<TrustRule>; 4]> {
        self.trust.find(organization, issuer, audience)
    }

    /// The organization whose callers the bearers of such tokens are where the tokens and the callers name none: the
    /// operator bound their issuer to it. Nothing is said yet about the signature. No I/O.
    #[must_use]
    pub fn bound_to(&self, issuer: &str, audiences: &[&str]) -> Option<OrganizationId> {
        self.trust.bound(issuer, audiences)
    }

    /// Notes that at `at` everything there was is held. Organizations are refused when that is
    /// longer ago than they allow.
    pub fn confirm(&self, at: Timestamp) {
        self.confirmed.store(at.as_micros(), Ordering::Relaxed);
    }

    /// When everything there was is last known to have been held.
    #[must_use]
    pub fn confirmed_at(&self) -> Timestamp {
        Timestamp::from_micros(self.confirmed.load(Ordering::Relaxed))
    }

    /// An organization's current snapshot.
    #[must_use]
    pub fn organization(&self, id: OrganizationId) -> Option<Arc<OrgSnapshot>> {
        self.cells_of(id)?.read().get(&id)?.snapshot.load_full()
    }

    /// The shared catalogue.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.load_full()
    }

    /// What is known of this node's pool (one live node until the feed says otherwise).
    #[must_use]
    pub fn pool(&self) -> Arc<PoolState> {
        self.pool_state.load_full()
    }

    /// The shard's digest as of now.
    #[must_use]
    pub fn digest(&self, shard: Shard) -> Digest {
        self.shards.get(shard.index()).map(|state| state.lock().digest).unwrap_or_default()
    }

    /// How much is held.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let in_force =
            |cells: &Cells| cells.read().values().filter(|cell| cell.snapshot.load().is_some()).count();
        Counts {
            organizations: self.cells.iter().map(in_force).sum(),
            keys: self.keys.len(),
            models: self.catalogue.load().models.len(),
        }
    }

    fn cells_of(&self, id: OrganizationId) -> Option<&Cells> {
        self.cells.get((id.to_u128() % 64) as usize)
    }

    /// The organization's cell, made when it has none.
    pub(crate) fn cell(&self, id: OrganizationId) -> Arc<OrgCell> {
        let Some(cells) = self.cells_of(id) else { return Arc::default() };
        if let Some(cell) = cells.read().get(&id) {
            return Arc::clone(cell);
        }
        Arc::clone(cells.write().entry(id).or_default())
    }
}
