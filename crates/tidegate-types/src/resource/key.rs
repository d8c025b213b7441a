//! Virtual keys.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{KeyId, OrganizationId, TeamId};
use crate::slug::ProviderSlug;

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// May be used.
    Active,
    /// Refused until resumed.
    Paused,
    /// Refused for ever.
    Revoked,
}

/// What is kept of a key's secret: HMAC-SHA256 under one version of the pepper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySecret {
    /// Version of the pepper.
    pub pepper_version: u32,
    /// HMAC-SHA256(pepper, whole key text).
    pub hmac: [u8; 32],
    /// Refused from this time on; set on the old secret of a rotated key.
    pub until: Option<Timestamp>,
}

/// What may be reached. An empty list allows everything that the wider scopes allow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllowList {
    /// Model names `creator/name`, or `creator/*`.
    pub models: Vec<String>,
    /// Providers.
    pub providers: Vec<ProviderSlug>,
    /// Names of the organization's routes.
    pub routes: Vec<String>,
    /// Client networks.
    pub ips: Vec<IpNet>,
}

/// Rate limits. `None` means no limit at this level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyLimits {
    /// Calls per minute (burst: the same number).
    pub requests_per_minute: Option<u32>,
    /// Input and output tokens per minute.
    pub tokens_per_minute: Option<u32>,
    /// Calls in flight.
    pub concurrency: Option<u32>,
}

impl KeyLimits {
    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.requests_per_minute.is_none() && self.tokens_per_minute.is_none() && self.concurrency.is_none()
    }
}

/// A virtual key: what an application calls with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualKey {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its public id, part of the key's text.
    pub id: KeyId,
    /// The team that owns it.
    pub team_id: TeamId,
    /// Name for people, unique in the team.
    pub name: String,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// Current secret first; during a rotation the old one after it.
    pub secrets: Vec<KeySecret>,
    /// Refused from this time on.
    pub expires_at: Option<Timestamp>,
    /// What it may reach.
    pub allow: AllowList,
    /// Its rate limits.
    pub limits: KeyLimits,
    /// Tags put on every call made with it; they override request tags of the same name.
    pub tags: BTreeMap<String, String>,
}
