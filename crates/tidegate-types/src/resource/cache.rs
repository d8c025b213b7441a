//! Rules of the response cache: which calls may be answered with the answer of an earlier one, for whom,
//! for how long, and what that costs. Policies and routes carry them.

use serde::{Deserialize, Serialize};

/// Whether calls are answered from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// Every call that does not say otherwise.
    On,
    /// No call, whatever it says.
    Off,
}

/// Who shares answers. A later one is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheSharing {
    /// The whole organization, and nobody else.
    #[default]
    Organization,
    /// The keys of one team.
    Team,
    /// One key.
    Key,
}

/// Rules of the response cache. All that match a call hold together: `off` wins, the strictest sharing,
/// the shortest life, the smallest size and the highest charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheRules {
    /// Whether; `None`: where the request asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<CacheMode>,
    /// Seconds that an answer may be given again; `None`: 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// Among whom; `None`: the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing: Option<CacheSharing>,
    /// What an answer from the cache costs, in percent of what it cost to make; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_percent: Option<u8>,
    /// Largest answer in bytes that is kept; `None`: what the node allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_entry_bytes: Option<u32>,
}

impl CacheRules {
    /// Longest life that rules may name, in seconds: a day.
    pub const LONGEST_TTL: u32 = 86_400;

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with them: field and reason.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let ttl = self.ttl_seconds.is_none_or(|seconds| (1..=Self::LONGEST_TTL).contains(&seconds));
        let charge = self.charge_percent.is_none_or(|percent| percent <= 100);
        let size = self.max_entry_bytes != Some(0);
        [
            (ttl, "cache.ttl_seconds", "must be 1 to 86400"),
            (charge, "cache.charge_percent", "must be 0 to 100"),
            (size, "cache.max_entry_bytes", "must be at least 1"),
        ]
        .into_iter()
        .filter_map(|(holds, field, reason)| (!holds).then_some((field, reason)))
        .collect()
    }
}
