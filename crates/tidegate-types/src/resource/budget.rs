//! Budgets.

use serde::{Deserialize, Serialize};

use crate::id::{BudgetId, KeyId, OrganizationId, TeamId};
use crate::label::LabelHash;
use crate::money::NanoUsd;
use crate::slug::{ModelName, ProviderSlug};
use crate::window::WindowSpec;

/// A label that a budget selects by: the hash decides, the text is for the API only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// Keyed hash of the value.
    pub hash: LabelHash,
}

/// Which calls a budget covers: those that match every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Calls of this team.
    pub team: Option<TeamId>,
    /// Calls with this key.
    pub key: Option<KeyId>,
    /// Calls for this end user (keyed hash of the user's id).
    pub end_user: Option<Selector>,
    /// Calls with this tag (keyed hash of `name=value`).
    pub tag: Option<Selector>,
    /// Attempts at this model.
    pub model: Option<ModelName>,
    /// Attempts at this provider.
    pub provider: Option<ProviderSlug>,
}

/// What happens at the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// Calls that do not fit are refused.
    Hard,
    /// Nothing is refused; alerts only.
    Soft,
}

/// How much a hard budget holds for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldMode {
    /// The most that may be billed: never over.
    Strict,
    /// What is usually billed: may be over by what is in flight.
    Expected,
}

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: BudgetId,
    /// Name for people, unique in the organization.
    pub name: String,
    /// Most that may be spent in a window.
    pub limit: NanoUsd,
    /// Its windows.
    pub window: WindowSpec,
    /// Which calls it covers.
    pub scope: Scope,
    /// What happens at the limit.
    pub enforcement: Enforcement,
    /// How much is held.
    pub mode: HoldMode,
    /// Whether calls over the organization's own credentials count.
    pub count_byok: bool,
    /// Percentages of the limit at which an alert is due, ascending.
    pub alert_at_percent: Vec<u8>,
}
