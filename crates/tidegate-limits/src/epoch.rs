//! Opening an epoch: what both stores share.

use smallvec::smallvec;
use tidegate_types::NanoUsd;
use tidegate_types::resource::OpenHold;
use tidegate_types::window::Window;

use crate::budget::{BudgetHold, Hold};

/// Open holds by attempt, one [`Hold`] each. Limits are unknown until the first caller brings
/// them, so the parts carry none.
pub(crate) fn grouped(holds: &[OpenHold]) -> Vec<Hold> {
    let mut grouped: Vec<Hold> = Vec::new();
    let mut sorted: Vec<&OpenHold> = holds.iter().collect();
    sorted.sort_by_key(|hold| (hold.call_id.to_u128(), hold.attempt));
    for hold in sorted {
        let part = BudgetHold {
            budget_id: hold.budget_id,
            window: Window { start: hold.window_start, end: hold.window_end },
            limit: NanoUsd::ZERO,
            limit_revision: 0,
            amount: hold.amount,
            hard: false,
        };
        match grouped.last_mut() {
            Some(last) if (last.call_id, last.attempt) == (hold.call_id, hold.attempt) => {
                last.deadline = last.deadline.max(hold.deadline);
                last.budgets.push(part);
            }
            _ => grouped.push(Hold {
                call_id: hold.call_id,
                attempt: hold.attempt,
                step: 0,
                epoch: 0,
                deadline: hold.deadline,
                budgets: smallvec![part],
            }),
        }
    }
    grouped
}
