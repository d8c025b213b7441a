//! Changes that are not applied, because the node died of them, or applying them ended in a panic: their resources keep
//! their last good versions, and what takes access away does so all the same. Nothing of them is compiled.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_policy::{Applied, Config, Incoming, Revocation};
use tidegate_proto::config::{Delta, VersionedResource};
use tidegate_proto::versioned_from_wire;
use tidegate_types::Shard;
use tidegate_types::resource::{KeyStatus, Resource, ResourceKind};

use super::apply::unread;

/// Shards of which changes are held back, each up to which change and until when, where that has an end.
#[derive(Default)]
pub(crate) struct HeldBack(Mutex<BTreeMap<Shard, (u64, Option<Instant>)>>);

/// What becomes of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is applied.
    Applied,
    /// It brings nothing that is newer than what is held back.
    HeldBack,
    /// It is newer, or the pause is over, and it begins where the node is.
    Tried,
    /// The same, and it lacks what was held back.
    Lacks,
}

impl HeldBack {
    /// Holds a shard back from now on, up to a change, for so long or until newer ones come.
    pub(crate) fn hold(&self, shard: Shard, to: u64, pause: Option<Duration>) {
        self.0.lock().insert(shard, (to, pause.map(|pause| Instant::now() + pause)));
    }

    /// Whether a pause is over and nobody was told. It is asked for anew then.
    pub(crate) fn is_due(&self) -> bool {
        let mut held = self.0.lock();
        let now = Instant::now();
        let due = held.values_mut().filter(|(_, until)| until.is_some_and(|until| until <= now));
        // Everything is newer than that.
        due.map(|place| *place = (0, None)).count() > 0
    }

    /// Whether it is.
    pub(crate) fn has(&self, shard: Shard) -> bool {
        self.0.lock().contains_key(&shard)
    }

    /// How many are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// What becomes of a delta, where the node holds the shard up to `n`. One that is tried holds back nothing more.
    pub(crate) fn fate(&self, shard: Shard, delta: &Delta, n: u64) -> Fate {
        let mut held = self.0.lock();
        match held.get(&shard) {
            None => Fate::Applied,
            Some((to, _)) if delta.to <= *to => Fate::HeldBack,
            Some(_) if delta.replace || delta.from == n => {
                held.remove(&shard);
                Fate::Tried
            }
            Some(_) => Fate::Lacks,
        }
    }
}

/// Whether a version takes something away, as far as it says so itself.
pub(crate) fn takes_away(one: &VersionedResource) -> bool {
    let kind = one.key.as_ref().map_or("", |key| key.kind.as_str());
    let is_deleted = one.resource.is_none() && one.content_hash.is_empty();
    // All deletions are said to tighten; without a policy or a budget more is allowed.
    one.tightens && !(is_deleted && matches!(kind, "policy" | "budget"))
}

/// Withholds changes of a shard: those keys and resources are refused from which they take access.
pub(crate) fn withhold(config: &Config, shard: Shard, resources: &[VersionedResource]) -> Withheld {
    const REASON: &str = "held back: applying it ended in a panic, or the node died while it was on trial";
    let mut revoked = Vec::new();
    let changes = resources.iter().filter_map(|one| {
        let mut change = unread(one, REASON)?;
        change.tightens = takes_away(one);
        if change.key.kind == ResourceKind::Key {
            look_at_key(config, shard, one, &mut change, &mut revoked);
        }
        Some(change)
    });
    let changes: Vec<Incoming> = changes.collect();
    let applied = catch_unwind(AssertUnwindSafe(|| config.withhold(shard, changes, REASON)));
    Withheld { applied: applied.ok(), revoked }
}

/// What came of it.
pub(crate) struct Withheld {
    /// `None`: even that ended in a panic.
    pub(crate) applied: Option<Applied>,
    /// Keys that are revoked.
    pub(crate) revoked: Vec<Revocation>,
}

fn look_at_key(
    config: &Config,
    shard: Shard,
    one: &VersionedResource,
    change: &mut Incoming,
    revoked: &mut Vec<Revocation>,
) {
    let is_deleted = one.resource.is_none() && one.content_hash.is_empty();
    let read = versioned_from_wire(shard, one.clone()).map(|version| version.resource);
    let status = match read {
        Ok(Some(Resource::Key(key))) => {
            change.tightens |= config.takes_access(&key);
            key.status
        }
        _ => {
            change.tightens = true;
            KeyStatus::Paused
        }
    };
    let Ok(key) = change.key.id.parse() else { return };
    let organization = change.key.organization_id;
    if (is_deleted || status == KeyStatus::Revoked) && config.revoke(organization, key, change.n) {
        revoked.push(Revocation { organization, key, n: change.n });
    }
}
