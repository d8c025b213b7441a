//! Resources: what the management API writes, the feed carries and a node compiles, one to one.
//!
//! Children point up to their parents, so that one change is one small message.

mod area;
mod authority;
mod base_url;
mod budget;
mod cache;
mod catalogue;
mod content_hash;
mod credential;
mod features;
mod key;
mod location;
mod organization;
mod policy;
mod price;
mod route;
mod trust;

use serde::{Deserialize, Serialize};

pub use area::{Area, Areas, UnknownArea};
pub use authority::{BudgetEpoch, OpenHold, OpeningBalance, PoolState};
pub use base_url::{Place, PlaceError, fill_base_url, places_of, sample_base_url};
pub use budget::{Budget, Enforcement, HoldMode, LimitAt, Past, Raise, Scope, Selector, limit_at};
pub use cache::{CacheMode, CacheRules, CacheSharing};
pub use catalogue::{
    AbortBilling, AuthScheme, Capabilities, DataHandling, DialectName, Model, ModelKind, Offering, Operation,
    PartHandling, Provider, Quirks, Retention, Training,
};
pub use content_hash::content_hash;
pub use credential::{Attestation, Credential, CredentialScope, SealedSecret, SecretForm};
pub use features::{FEATURES, unknown_features};
pub use key::{AllowList, KeyLimits, KeySecret, KeyStatus, VirtualKey};
pub use location::Location;
pub use organization::{ModelLimits, Organization, Team};
pub use policy::{Policy, PolicyScope, Privacy, ZdrTier};
pub use price::{Price, PriceTier, Unit, UnitPrice};
pub use route::{Route, RouteTarget};
pub use trust::{BoundIssuer, IssuerKey, IssuerKeyMaterial, TrustRule, bound_organization};

use crate::id::OrganizationId;
use crate::revision::Revision;

/// One resource of any kind. In JSON the field `resource` names the kind (a model has a `kind` of its own).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "resource", rename_all = "snake_case")]
pub enum Resource {
    /// An organization.
    Organization(Organization),
    /// A team.
    Team(Team),
    /// A virtual key.
    Key(VirtualKey),
    /// A provider credential, sealed.
    Credential(Credential),
    /// A provider.
    Provider(Provider),
    /// A model.
    Model(Model),
    /// A model at a provider, with its prices.
    Offering(Offering),
    /// An organization's own model name.
    Route(Route),
    /// A policy.
    Policy(Policy),
    /// A budget.
    Budget(Budget),
    /// The epoch under which an organization's budget counters live in a pool.
    BudgetEpoch(BudgetEpoch),
    /// Facts about a pool: its live nodes.
    Pool(PoolState),
    /// Whose tokens may act as a key.
    TrustRule(TrustRule),
}

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is named as its resource")]
pub enum ResourceKind {
    Organization,
    Team,
    Key,
    Credential,
    Provider,
    Model,
    Offering,
    Route,
    Policy,
    Budget,
    BudgetEpoch,
    Pool,
    TrustRule,
}

impl ResourceKind {
    /// The kind's name, as stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
            Self::Key => "key",
            Self::Credential => "credential",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Offering => "offering",
            Self::Route => "route",
            Self::Policy => "policy",
            Self::Budget => "budget",
            Self::BudgetEpoch => "budget_epoch",
            Self::Pool => "pool",
            Self::TrustRule => "trust_rule",
        }
    }

    /// Every kind, parents before children.
    pub const ALL: [Self; 13] = [
        Self::Pool,
        Self::Organization,
        Self::Team,
        Self::Policy,
        Self::Provider,
        Self::Model,
        Self::Offering,
        Self::Credential,
        Self::Route,
        Self::Budget,
        Self::BudgetEpoch,
        Self::Key,
        Self::TrustRule,
    ];

    /// The kind with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Which resource: unique in a fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// Its owner; [`OrganizationId::SYSTEM`] for system-scope resources.
    pub organization_id: OrganizationId,
    /// Its kind.
    pub kind: ResourceKind,
    /// Its id within the kind, in its textual form.
    pub id: String,
}

/// `{organization_id}/{kind}/{id}`: the text under which a resource enters digests.
impl std::fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.organization_id, self.kind.as_str(), self.id)
    }
}

/// A resource as of a revision; `resource` is absent when it was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Versioned {
    /// Which resource.
    pub key: ResourceKey,
    /// The change that made this version.
    pub revision: Revision,
    /// Whether this version takes something away (revoked, ZDR on, cap lowered):
    /// a node that cannot apply it makes the resource fail closed.
    pub tightens: bool,
    /// The version, or `None` for a deletion.
    pub resource: Option<Resource>,
}

impl Resource {
    /// Which resource this is.
    #[must_use]
    pub fn key(&self) -> ResourceKey {
        let (organization_id, kind, id) = match self {
            Self::Organization(r) => (r.id, ResourceKind::Organization, r.id.to_string()),
            Self::Team(r) => (r.organization_id, ResourceKind::Team, r.id.to_string()),
            Self::Key(r) => (r.organization_id, ResourceKind::Key, r.id.to_string()),
            Self::Credential(r) => (r.organization_id, ResourceKind::Credential, r.id.to_string()),
            Self::Provider(r) => (r.organization_id, ResourceKind::Provider, r.id.to_string()),
            Self::Model(r) => (r.organization_id, ResourceKind::Model, r.id.to_string()),
            Self::Offering(r) => (r.organization_id, ResourceKind::Offering, r.id.to_string()),
            Self::Route(r) => (r.organization_id, ResourceKind::Route, r.id.to_string()),
            Self::Policy(r) => (r.organization_id, ResourceKind::Policy, r.id.to_string()),
            Self::Budget(r) => (r.organization_id, ResourceKind::Budget, r.id.to_string()),
            Self::BudgetEpoch(r) => (r.organization_id, ResourceKind::BudgetEpoch, r.pool.clone()),
            Self::TrustRule(r) => (r.organization_id, ResourceKind::TrustRule, r.id.to_string()),
            Self::Pool(r) => (OrganizationId::SYSTEM, ResourceKind::Pool, r.name.clone()),
        };
        ResourceKey { organization_id, kind, id }
    }
}
