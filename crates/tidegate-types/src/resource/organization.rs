//! Organizations and teams.

use serde::{Deserialize, Serialize};

use crate::id::{OrganizationId, TeamId};
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
