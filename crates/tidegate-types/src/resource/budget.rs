//! Budgets.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
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
    /// Temporary raises of the limit, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<Raise>,
    /// What was spent before the budget was known to nodes; `None`: nothing of it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
}

/// A raise of a limit that falls back by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// Added to the limit, more than 0.
    pub amount: NanoUsd,
    /// First instant at which it no longer holds.
    pub until: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// What one window had used before its budget counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// First instant of that window.
    pub window_start: Timestamp,
    /// Spent, or perhaps spent, by attempts that did not know the budget.
    pub amount: NanoUsd,
}

/// The limit of one window at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitAt {
    /// Limit and raises together.
    pub limit: NanoUsd,
    /// Of it used before the budget counted.
    pub past: NanoUsd,
    /// Ranks the limits that nodes bring: of two, the higher one's holds. It grows with every
    /// change of the budget and with the end of every raise.
    pub rank: u64,
}

impl LimitAt {
    /// What the counters may reach: they do not know the past.
    #[must_use]
    pub fn countable(&self) -> NanoUsd {
        (self.limit - self.past).max(NanoUsd::ZERO)
    }
}

impl Budget {
    /// Most raises of one budget; a version of it has room for the end of each in [`LimitAt::rank`].
    pub const MOST_RAISES: usize = 15;

    /// The limit of the window that begins at `window_start`, at the time `at`, as version `n` has it.
    #[must_use]
    pub fn limit_at(&self, window_start: Timestamp, at: Timestamp, n: u64) -> LimitAt {
        limit_at(self.limit, &self.raises, self.past, window_start, at, n)
    }
}

/// [`Budget::limit_at`] for parts of a budget.
#[must_use]
pub fn limit_at(
    limit: NanoUsd,
    raises: &[Raise],
    past: Option<Past>,
    window_start: Timestamp,
    at: Timestamp,
    n: u64,
) -> LimitAt {
    let active = raises.iter().filter(|raise| at < raise.until);
    let raised: NanoUsd = active.clone().map(|raise| raise.amount).sum();
    let ended = raises.len().saturating_sub(active.count());
    let past =
        past.filter(|past| past.window_start == window_start).map_or(NanoUsd::ZERO, |past| past.amount);
    let ended = u64::try_from(ended.min(Budget::MOST_RAISES)).unwrap_or(0);
    LimitAt { limit: limit + raised, past, rank: n.saturating_mul(16).saturating_add(ended) }
}
