//! Which budgets a call counts towards, and the windows it falls into.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_types::resource::{Model, Provider};
use tidegate_types::usage::CredentialType;
use tidegate_types::{BudgetId, Timestamp};

use super::facts::CallFacts;
use super::outcome::BudgetRef;
use crate::compiled::Budget;
use crate::view::View;

/// Budgets that cover the call as far as its key and labels go.
pub(crate) type Covering = SmallVec<[BudgetRef; 4]>;

/// The budgets of a call before its candidates are known. A budget whose fixed term does not
/// contain `now` covers nothing.
pub(crate) fn covering(view: &View, facts: &CallFacts<'_>, now: Timestamp) -> Covering {
    let labels = facts.end_user.into_iter().chain(facts.tags.iter().copied());
    let near = view.organization.budgets.near(view.key.team, view.key.id, labels);
    let calendar = &view.organization.organization.calendar;
    let mut covering = Covering::new();
    for budget in near.filter(|budget| covers(budget, view, facts)) {
        let known = covering.iter().any(|other| Arc::ptr_eq(&other.budget, budget));
        if !known && let Some(window) = calendar.window(budget.window, now) {
            let limit = budget.limit_at(window, now);
            covering.push(BudgetRef { budget: Arc::clone(budget), window, limit });
        }
    }
    covering
}

fn covers(budget: &Budget, view: &View, facts: &CallFacts<'_>) -> bool {
    let scope = &budget.scope;
    scope.team.is_none_or(|team| team == view.key.team)
        && scope.key.is_none_or(|key| key == view.key.id)
        && scope.end_user.is_none_or(|user| facts.end_user == Some(user.hash))
        && scope.tag.is_none_or(|tag| facts.tags.contains(&tag.hash))
}

/// Those of the covering budgets that an attempt counts towards, or the one that could not be applied.
pub(crate) fn of_attempt(
    covering: &Covering,
    model: &Model,
    provider: &Provider,
    paid_by: CredentialType,
) -> Result<Covering, BudgetId> {
    let counts = |budget: &Budget| {
        budget.scope.model.as_ref().is_none_or(|name| *name == model.name)
            && budget.scope.provider.as_ref().is_none_or(|slug| *slug == provider.slug)
            && (budget.count_byok || paid_by == CredentialType::System)
    };
    let counted: Covering = covering.iter().filter(|covering| counts(&covering.budget)).cloned().collect();
    match counted.iter().find(|counted| counted.budget.closed) {
        Some(closed) => Err(closed.budget.id),
        None => Ok(counted),
    }
}
