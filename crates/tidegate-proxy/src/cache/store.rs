//! Kept answers, in memory and within bounds: of one answer, of all, and of one organization.
//!
//! When all is full, the organization that has most gives up what it has not used for longest. Nothing here
//! is ever written anywhere.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tidegate_dialect::Dialect;
use tidegate_types::resource::Provider;
use tidegate_types::usage::{CredentialType, Usage};
use tidegate_types::{CallId, CredentialId, OfferingId, OrganizationId};

use super::key::CacheKey;
use super::slot::Owner;

/// What an answer takes beside its bytes.
const BESIDE: usize = 512;
/// One organization has at most this part of all.
const SHARE: usize = 4;

/// An answer as its provider gave it, and what is known of it. Debug shows no content.
pub(crate) struct Kept {
    pub(super) owner: Owner,
    pub(super) made: Instant,
    pub(super) until: Instant,
    pub(super) by: Maker,
    pub(super) stream: bool,
    pub(super) content_type: Cow<'static, str>,
    /// As a header told them.
    pub(super) input_tokens: Option<u64>,
    pub(super) usage: Usage,
    pub(super) bytes: Bytes,
}

/// Who made an answer.
#[derive(Debug, Clone)]
pub(crate) struct Maker {
    pub(crate) call: CallId,
    pub(crate) offering: OfferingId,
    /// As it was then: an answer of a provider that has been changed since is not given again.
    pub(crate) provider: Arc<Provider>,
    pub(crate) upstream_name: String,
    pub(crate) credential_type: CredentialType,
    /// What is known of data handling and places may hold over this one only.
    pub(crate) credential: Option<CredentialId>,
    pub(crate) target: Dialect,
}

impl Kept {
    fn size(&self) -> usize {
        self.bytes.len() + BESIDE
    }
}

/// Why an answer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Its time was over.
    Expired,
    /// There was no room.
    Full,
    /// It was purged, or must not be kept any more.
    Purged,
}

/// How much there is, and how much went for which reason since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stock {
    pub(crate) answers: usize,
    pub(crate) bytes: usize,
    pub(crate) expired: u64,
    pub(crate) full: u64,
    pub(crate) purged: u64,
}

/// The kept answers of one node.
#[derive(Debug)]
pub(crate) struct ResponseCache {
    most: usize,
    most_of_one: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<CacheKey, Entry>,
    /// What each organization has, by its last use.
    shares: HashMap<OrganizationId, Share>,
    /// Counts uses.
    clock: u64,
    stock: Stock,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stock.fmt(f)
    }
}

struct Entry {
    kept: Arc<Kept>,
    used: u64,
}

#[derive(Default)]
struct Share {
    by_use: BTreeMap<u64, CacheKey>,
    bytes: usize,
}

impl ResponseCache {
    /// A cache of at most so many bytes in all and in one answer; 0 in all: none.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one: most_of_one.min(most / SHARE), inner: Mutex::default() }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.most_of_one > 0
    }

    /// The largest answer that is kept where rules ask for so much.
    pub(crate) fn most_of_one(&self, asked: Option<u32>) -> usize {
        asked.map_or(self.most_of_one, |asked| self.most_of_one.min(asked as usize))
    }

    /// What lies there and is not over.
    pub(crate) fn get(&self, key: &CacheKey, now: Instant) -> Option<Arc<Kept>> {
        let mut inner = self.inner.lock();
        let Inner { entries, shares, clock, .. } = &mut *inner;
        let entry = entries.get_mut(key).filter(|entry| now < entry.kept.until)?;
        if let Some(share) = shares.get_mut(&entry.kept.owner.organization) {
            *clock += 1;
            share.by_use.remove(&entry.used);
            share.by_use.insert(*clock, *key);
            entry.used = *clock;
        }
        Some(entry.kept.clone())
    }

    /// Keeps an answer in place of what lay there.
    pub(crate) fn put(&self, key: CacheKey, kept: Kept) {
        let (size, organization) = (kept.size(), kept.owner.organization);
        if size > self.most / SHARE {
            return;
        }
        let mut inner = self.inner.lock();
        inner.take(&key);
        while inner.shares.get(&organization).is_some_and(|share| share.bytes + size > self.most / SHARE) {
            inner.give_up(organization);
        }
        while inner.stock.bytes + size > self.most {
            let largest = inner.shares.iter().max_by_key(|(_, share)| share.bytes).map(|(id, _)| *id);
            let Some(largest) = largest else { break };
            inner.give_up(largest);
        }
        inner.clock += 1;
        let used = inner.clock;
        let share = inner.shares.entry(organization).or_default();
        share.bytes += size;
        share.by_use.insert(used, key);
        inner.stock.bytes += size;
        inner.stock.answers += 1;
        inner.entries.insert(key, Entry { kept: Arc::new(kept), used });
    }

    /// Lets go of what is over at `now`, and of what `may_stay` does not want.
    pub(crate) fn sweep(&self, now: Instant, mut may_stay: impl FnMut(&Owner) -> bool) {
        let mut inner = self.inner.lock();
        let going: Vec<(CacheKey, Gone)> = inner
            .entries
            .iter()
            .filter_map(|(key, Entry { kept, .. })| match (kept.until <= now, may_stay(&kept.owner)) {
                (_, false) => Some((*key, Gone::Purged)),
                (true, true) => Some((*key, Gone::Expired)),
                (false, true) => None,
            })
            .collect();
        for (key, why) in going {
            inner.take(&key);
            inner.note(why);
        }
    }

    pub(crate) fn stock(&self) -> Stock {
        self.inner.lock().stock
    }
}

impl Inner {
    fn take(&mut self, key: &CacheKey) {
        let Some(Entry { kept, used }) = self.entries.remove(key) else { return };
        let organization = kept.owner.organization;
        if let Some(share) = self.shares.get_mut(&organization) {
            share.bytes -= kept.size();
            share.by_use.remove(&used);
            if share.by_use.is_empty() {
                self.shares.remove(&organization);
            }
        }
        self.stock.bytes -= kept.size();
        self.stock.answers -= 1;
    }

    /// An organization's least recently used answer goes.
    fn give_up(&mut self, organization: OrganizationId) {
        let oldest = self.shares.get(&organization).and_then(|share| share.by_use.values().next().copied());
        match oldest {
            Some(key) => {
                self.take(&key);
                self.note(Gone::Full);
            }
            None => drop(self.shares.remove(&organization)),
        }
    }

    const fn note(&mut self, why: Gone) {
        match why {
            Gone::Expired => self.stock.expired += 1,
            Gone::Full => self.stock.full += 1,
            Gone::Purged => self.stock.purged += 1,
        }
    }
}
