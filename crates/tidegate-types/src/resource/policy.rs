//! Policies.

use serde::{Deserialize, Serialize};

use super::{Areas, CacheRules};
use crate::id::{KeyId, OrganizationId, PolicyId, TeamId};
use crate::money::PicoUsd;
use crate::slug::ProviderSlug;

/// Zero-data-retention tiers; a higher one is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZdrTier {
    /// No demand.
    #[default]
    None,
    /// Providers may keep, but not train.
    NoTraining,
    /// Providers keep only what their safety checks flag.
    ZdrWithSafetyRetention,
    /// Providers keep nothing.
    Zdr,
}

impl ZdrTier {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NoTraining => "no_training",
            Self::ZdrWithSafetyRetention => "zdr_with_safety_retention",
            Self::Zdr => "zdr",
        }
    }
}

/// What a policy speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum PolicyScope {
    /// The whole organization.
    Organization,
    /// One team.
    Team {
        /// The team.
        team_id: TeamId,
    },
    /// One key.
    Key {
        /// The key.
        key_id: KeyId,
    },
}

/// Demands on data handling.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Privacy {
    /// Tier; the strictest of all scopes and the request holds.
    pub zdr: ZdrTier,
    /// Areas in which calls may be processed; empty: all. What all scopes and the request allow holds.
    #[serde(skip_serializing_if = "Areas::is_empty")]
    pub inference_regions: Areas,
    /// Home countries of providers: all plain, or all excluded by a leading `!`; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headquarters: Vec<String>,
}

impl Privacy {
    /// A demand of a tier only.
    #[must_use]
    pub fn of_tier(zdr: ZdrTier) -> Self {
        Self { zdr, ..Self::default() }
    }

    /// Whether it says where calls may be processed, or by whom. A node that does not know these demands
    /// must not apply a policy without them.
    #[must_use]
    pub fn confines(&self) -> bool {
        !self.inference_regions.is_empty() || !self.headquarters.is_empty()
    }

    /// What is wrong with it, by field.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let code = |code: &String| {
            let code = code.strip_prefix('!').unwrap_or(code);
            code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())
        };
        let excluded = self.headquarters.iter().filter(|code| code.starts_with('!')).count();
        let alike = excluded == 0 || excluded == self.headquarters.len();
        if alike && self.headquarters.len() <= 100 && self.headquarters.iter().all(code) {
            return Vec::new();
        }
        let message = "must be at most 100 two-letter country codes, all plain (US) or all excluded (!CN)";
        vec![("privacy.headquarters", message)]
    }
}

/// A policy. All policies that match a call hold together; the strictest wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: PolicyId,
    /// Name for people, unique in the organization.
    pub name: String,
    /// What it speaks of.
    pub scope: PolicyScope,
    /// Models `creator/name` or `creator/*` that may be reached; empty: all.
    pub allow_models: Vec<String>,
    /// Providers that may be reached; empty: all.
    pub allow_providers: Vec<ProviderSlug>,
    /// Demands on data handling.
    pub privacy: Privacy,
    /// Output tokens granted to a call under a hard budget that names none.
    pub default_max_output_tokens: Option<u32>,
    /// Price per input and output token at which a call without a price is held and charged;
    /// `None` everywhere: such calls are refused.
    pub ceiling_price: Option<PicoUsd>,
    /// Whether system credentials may be used; `None`: yes.
    pub allow_system_credentials: Option<bool>,
    /// Whether requests may bring credentials of their own; `None`: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_request_credentials: Option<bool>,
    /// Whether a route may carry the name of a catalogue model; `None`: no.
    pub routes_may_shadow: Option<bool>,
    /// Most attempts for one call; `None`: 3.
    pub max_attempts: Option<u8>,
    /// What may be answered from the response cache.
    #[serde(default, skip_serializing_if = "CacheRules::is_empty")]
    pub cache: CacheRules,
    /// Whether the cache markers of providers are put in where a request does not say (`caching: auto`);
    /// `None`: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_cache_markers: Option<bool>,
}
