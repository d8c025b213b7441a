//! Budget epochs: who may say how much of a budget is left.
//!
//! Live counters (Redis, or a node's memory in `dev`) are valid only under the epoch that
//! Postgres opened for them. Counters that are lost or foreign are burnt, never reseeded from
//! nothing: a new epoch opens with balances taken from the ledger once every node has
//! shipped what it had.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{BudgetId, CallId, OrganizationId};
use crate::money::NanoUsd;

/// The current epoch of an organization's counters in one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetEpoch {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The pool.
    pub pool: String,
    /// The epoch; grows by one each time counters are lost.
    pub epoch: u64,
}

/// A pool, as its nodes need to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// The pool's name.
    pub name: String,
    /// Live nodes, for fair shares of limits without Redis. At least 1.
    pub live_nodes: u32,
}

/// What a budget's window has used when an epoch opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningBalance {
    /// The budget.
    pub budget_id: BudgetId,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// Charged.
    pub spent: NanoUsd,
    /// Held for attempts whose outcome will not become known by itself.
    pub unresolved: NanoUsd,
}

/// A hold that was open when the epoch opened: its attempt is still running somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenHold {
    /// The call.
    pub call_id: CallId,
    /// The attempt within the call, from 0.
    pub attempt: u16,
    /// The budget.
    pub budget_id: BudgetId,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// Reserved.
    pub amount: NanoUsd,
    /// When the hold becomes unresolved.
    pub deadline: Timestamp,
}
