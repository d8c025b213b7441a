//! A virtual key, compact: a fleet has a million of them.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use tidegate_types::resource::{KeyLimits, KeySecret, KeyStatus, VirtualKey};
use tidegate_types::{Digest, KeyId, TeamId, Timestamp};

use super::text;
use crate::allow::Allow;
use crate::config::OrgCell;
use crate::intern::Interner;
use crate::reason::Reason;

/// Tags of a key in one piece: each name and each value followed by a NUL, which none contains.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tags(Box<str>);

impl Tags {
    fn new(tags: &BTreeMap<String, String>) -> Self {
        Self(tags.iter().flat_map(|(name, value)| [name, "\0", value, "\0"]).collect())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut texts = self.0.split_terminator('\0');
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }
}

/// A virtual key as calls meet it.
#[derive(Debug, Clone)]
pub struct KeyRecord {
    pub(crate) id: KeyId,
    pub(crate) team: TeamId,
    pub(crate) cell: Arc<OrgCell>,
    pub(crate) name: Box<str>,
    pub(crate) secrets: Box<[KeySecret]>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) allow: Option<Arc<Allow>>,
    pub(crate) tags: Option<Arc<Tags>>,
    pub(crate) limits: KeyLimits,
    pub(crate) status: KeyStatus,
    /// A tightening could not be applied.
    pub(crate) closed: bool,
    /// The change that made this version.
    pub(crate) n: u64,
    /// What this version adds to the shard's digest.
    pub(crate) member: Digest,
}

/// What the keys of one organization share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    allow: Interner<Allow>,
    tags: Interner<Tags>,
}

impl KeyRecord {
    /// Most keys of one organization.
    pub(crate) const MOST: usize = 2_000_000;

    pub(crate) fn faults(source: &VirtualKey) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("name", &source.name, &mut faults);
        Allow::faults(&source.allow, &mut faults);
        text::at_most("secrets", source.secrets.len(), 4, &mut faults);
        text::at_most("tags", source.tags.len(), 64, &mut faults);
        if source
            .tags
            .iter()
            .any(|(name, value)| name.is_empty() || (name.chars().chain(value.chars())).any(char::is_control))
        {
            faults.push(Reason::new("tags", "have an empty name or control characters"));
        }
        for (field, limit) in [
            ("limits.requests_per_minute", source.limits.requests_per_minute),
            ("limits.tokens_per_minute", source.limits.tokens_per_minute),
            ("limits.concurrency", source.limits.concurrency),
        ] {
            if limit == Some(0) {
                faults.push(Reason::new(field, "must be at least 1; pause the key to refuse every call"));
            }
        }
        faults
    }

    pub(crate) fn weight(source: &VirtualKey) -> usize {
        let allow = &source.allow;
        source.name.len()
            + source.tags.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + allow.models.iter().chain(&allow.routes).map(String::len).sum::<usize>()
            + (allow.ips.len() + allow.providers.len()) * 20
    }

    /// Whether the next version takes access from whoever holds the key now: it is revoked, or the secret without an
    /// end is not among its secrets. One under another pepper may be the same secret.
    pub(crate) fn loses_access(&self, next: &VirtualKey) -> bool {
        let is_there = |own: &KeySecret| {
            next.secrets.iter().any(|one| one.hmac == own.hmac || one.pepper_version != own.pepper_version)
        };
        self.status != KeyStatus::Revoked
            && (next.status == KeyStatus::Revoked
                || self.secrets.iter().any(|own| own.until.is_none() && !is_there(own)))
    }

    pub(crate) fn build(
        source: VirtualKey,
        cell: Arc<OrgCell>,
        shared: &mut Shared,
        n: u64,
        member: Digest,
    ) -> Self {
        Self {
            id: source.id,
            team: source.team_id,
            cell,
            name: source.name.into(),
            secrets: source.secrets.into(),
            expires_at: source.expires_at,
            allow: Allow::new(source.allow).map(|allow| shared.allow.intern(allow)),
            tags: (!source.tags.is_empty()).then(|| shared.tags.intern(Tags::new(&source.tags))),
            limits: source.limits,
            status: source.status,
            closed: false,
            n,
            member,
        }
    }

    /// Its public id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The team that owns it.
    #[must_use]
    pub const fn team_id(&self) -> TeamId {
        self.team
    }

    /// Name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rate limits.
    #[must_use]
    pub const fn limits(&self) -> KeyLimits {
        self.limits
    }

    /// Refused from this time on.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Tags put on every call made with it, `(name, value)`; they override request tags.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().flat_map(|tags| tags.iter())
    }

    /// The secrets that are accepted at `now`, the current one first.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &KeySecret> {
        self.secrets.iter().filter(move |secret| secret.until.is_none_or(|until| now < until))
    }
}

/// A key found by its id.
#[derive(Debug, Clone)]
pub(crate) struct Indexed(pub(crate) Arc<KeyRecord>);

impl Borrow<KeyId> for Indexed {
    fn borrow(&self) -> &KeyId {
        &self.0.id
    }
}
impl PartialEq for Indexed {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}
impl Eq for Indexed {}
impl Hash for Indexed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}
