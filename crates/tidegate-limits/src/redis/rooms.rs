//! What hard budgets had left when they were last asked: for guesses, never for decisions.

use ahash::RandomState;
use dashmap::DashMap;
use tidegate_types::OrganizationId;

use crate::budget::BudgetHold;
use crate::memory::budgets::{CounterKey, key};

/// Windows that are remembered.
const MOST: usize = 100_000;

/// By organization, budget and window.
#[derive(Default)]
pub(super) struct Rooms(DashMap<(OrganizationId, CounterKey), i64, RandomState>);

impl Rooms {
    /// The least that is left in these, as the store says.
    pub(super) fn note(&self, organization: OrganizationId, budgets: &[BudgetHold], room: i64) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        for part in budgets.iter().filter(|part| part.hard) {
            self.0.insert((organization, key(part.budget_id, part.window)), room);
        }
    }

    /// The same for one window.
    pub(super) fn note_one(&self, organization: OrganizationId, at: CounterKey, room: i64) {
        if self.0.len() < MOST {
            self.0.insert((organization, at), room);
        }
    }

    /// The least that was left in these; `None`: of one of them nothing is known.
    pub(super) fn of(&self, organization: OrganizationId, budgets: &[BudgetHold]) -> Option<i64> {
        let hard = budgets.iter().filter(|part| part.hard);
        let rooms =
            hard.map(|part| self.0.get(&(organization, key(part.budget_id, part.window))).map(|room| *room));
        rooms.collect::<Option<smallvec::SmallVec<[i64; 4]>>>()?.into_iter().min()
    }
}
