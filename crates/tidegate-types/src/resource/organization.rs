//! Organizations and teams.

use serde::{Deserialize, Serialize};

use crate::id::{OrganizationId, TeamId};
use crate::slug::ModelName;
use crate::window::WeekStart;

/// A tenant: the isolation boundary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Identity.
    pub id: OrganizationId,
    /// Unique name in the installation, `^[a-z0-9][a-z0-9-]{0,62}$`.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// IANA time zone of its budget windows.
    pub time_zone: String,
    /// First day of its week.
    pub week_start: WeekStart,
    /// Paused: every key of it is refused with 403.
    pub paused: bool,
    /// Longest time in seconds that a node may serve without the control plane; `None`: 72 h.
    pub max_staleness_seconds: Option<u32>,
    /// Key of the keyed hashes of its labels (not a secret against the nodes that serve it).
    pub label_key: [u8; 32],
    /// How often its response cache was purged: what was kept before is not given again.
    #[serde(default, skip_serializing_if = "super::route::is_zero")]
    pub cache_purges: u64,
    /// Rate limits shared by all of its keys.
    #[serde(default, skip_serializing_if = "super::KeyLimits::is_empty")]
    pub limits: super::KeyLimits,
    /// Rate limits of single models, each shared by all of its keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_limits: Vec<ModelLimits>,
    /// Issuers whose tokens are its callers where they name no organization.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_issuers: Vec<super::BoundIssuer>,
}

/// An organization's rate limits for one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelLimits {
    /// The model that answers, whatever name it was asked for by.
    pub model: ModelName,
    /// Its limits.
    pub limits: super::KeyLimits,
}

/// A team owns virtual keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: TeamId,
    /// Unique in the organization.
    pub name: String,
    /// Paused: every key of it is refused with 403.
    pub paused: bool,
    /// Rate limits shared by the team's keys.
    pub limits: super::KeyLimits,
}
