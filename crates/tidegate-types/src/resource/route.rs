//! Routes: an organization's own model names.

use serde::{Deserialize, Serialize};

use super::CacheRules;
use crate::id::{OrganizationId, RouteId};
use crate::slug::{ModelName, ProviderSlug};

/// One target of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTarget {
    /// The model asked for.
    pub model: ModelName,
    /// Share of the calls, relative to the other targets.
    #[serde(default = "one")]
    pub weight: u32,
    /// Only at these providers; empty: any.
    #[serde(default)]
    pub providers: Vec<ProviderSlug>,
}

/// Left out where it is zero: versions of before it was there keep their hash.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) const fn is_zero(count: &u64) -> bool {
    *count == 0
}

const fn one() -> u32 {
    1
}

/// An organization's own model name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: RouteId,
    /// The name, unique in the organization.
    pub name: String,
    /// Drawn by weight.
    pub targets: Vec<RouteTarget>,
    /// Tried in order after the drawn target failed.
    pub fallbacks: Vec<RouteTarget>,
    /// Longest time for one attempt until its first event, in milliseconds.
    pub attempt_timeout_ms: Option<u32>,
    /// Longest time for all attempts until the first event, in milliseconds.
    pub total_timeout_ms: Option<u32>,
    /// What may be answered from the response cache.
    #[serde(default, skip_serializing_if = "CacheRules::is_empty")]
    pub cache: CacheRules,
    /// How often its part of the response cache was purged: what was kept before is not given again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_purges: u64,
    /// As of a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_cache_markers: Option<bool>,
}
