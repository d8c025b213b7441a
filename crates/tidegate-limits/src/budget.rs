//! Holds on budgets, and how they end.
//!
//! One hold per attempt, over all budgets that the attempt counts towards, in every budget
//! or in none.

use smallvec::SmallVec;
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, NanoUsd, OrganizationId, Timestamp};

/// Largest limit and largest amount: 2^53 nano-USD (about 9.0 million USD) per window. Redis
/// scripts count in doubles, which are exact up to here; a larger budget must be split.
pub const MAX_AMOUNT: NanoUsd = NanoUsd::new(1 << 53);

/// One budget's part of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetHold {
    /// The budget.
    pub budget_id: BudgetId,
    /// The window chosen at admission, from [`crate::Limiter::now`]. `end` of a lifetime budget
    /// is `i64::MAX` microseconds.
    pub window: Window,
    /// The limit as the caller's configuration has it.
    pub limit: NanoUsd,
    /// Revision of that limit (`Revision::n` of the budget resource); of all that the store has
    /// seen, the highest revision's limit is in force.
    pub limit_revision: u64,
    /// Amount to hold, 0 or more.
    pub amount: NanoUsd,
    /// Hard: spent + held + unresolved + amount must stay within the limit. Soft: only counted.
    pub hard: bool,
}

/// Money reserved for one attempt, or a further step of that reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The call.
    pub call_id: CallId,
    /// The attempt within the call, from 0.
    pub attempt: u16,
    /// 0 places the hold; a higher number adds to it, once per number, ascending.
    pub step: u16,
    /// Epoch of the caller's snapshot. 0: unknown there; any that is open is taken.
    pub epoch: u64,
    /// When an unfinished hold becomes unresolved (the store's time); a later one extends.
    pub deadline: Timestamp,
    /// The budgets, each (budget, window) once.
    pub budgets: SmallVec<[BudgetHold; 4]>,
}

impl Hold {
    /// The settlement of this hold. `epoch` is the one it was placed under.
    #[must_use]
    pub fn settlement(&self, organization_id: OrganizationId, epoch: u64, end: End) -> Settlement {
        let budgets = self.budgets.iter().map(|part| (part.budget_id, part.window)).collect();
        Settlement { organization_id, call_id: self.call_id, attempt: self.attempt, epoch, end, budgets }
    }
}

/// Where an attempt's hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldUnder {
    /// The epoch: goes into the billing event and the settlement. 0: nothing is held (none was asked for,
    /// or the store is away and no budget is hard).
    pub epoch: u64,
    /// It lies on what this process has of the budgets in advance: goes into the billing event, so that
    /// the books can tell what the process used of it.
    pub in_advance: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It cost this much (nano-USD, up to [`MAX_AMOUNT`]); what was held beyond is free again.
    Spent(NanoUsd),
    /// Nothing was or will be billed.
    Void,
    /// Nobody knows: what was held stays against the budgets until a later settlement.
    Unresolved,
}

/// The end of one attempt's hold. Idempotent by (call, attempt); an unresolved one may be
/// settled once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Whose call.
    pub organization_id: OrganizationId,
    /// The call.
    pub call_id: CallId,
    /// The attempt.
    pub attempt: u16,
    /// Epoch under which the hold was placed ([`HeldUnder::epoch`]). 0: no hold was placed; the cost is only counted.
    pub epoch: u64,
    /// How it ended.
    pub end: End,
    /// The budgets and windows of the hold.
    pub budgets: SmallVec<[(BudgetId, Window); 4]>,
}

/// What one budget's window has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The budget.
    pub budget_id: BudgetId,
    /// The window.
    pub window: Window,
    /// Charged.
    pub spent: NanoUsd,
    /// Reserved for running attempts.
    pub held: NanoUsd,
    /// Reserved for attempts whose outcome is unknown.
    pub unresolved: NanoUsd,
    /// The limit in force; `None` before the first hold.
    pub limit: Option<NanoUsd>,
}
