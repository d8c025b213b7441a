//! `POST /budgets/{id}/raises`

use axum::extract::State;
use http::StatusCode;
use tidegate_store::budgets;
use tidegate_types::resource::{Budget, Raise, Resource};
use tidegate_types::{BudgetId, NanoUsd, Timestamp};

use super::{BudgetView, MOST, RaiseSpec};
use crate::checks::Checks;
use crate::etag::IfMatch;
use crate::idempotency::PostedTo;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write, note};

/// Raises a budget's limit for a time. Nodes let it fall back at its end by themselves.
#[utoipa::path(post, path = "/budgets/{id}/raises", tag = "budgets", operation_id = "budgets_raise",
    params(("id" = String, Path, description = "Its id")), request_body = RaiseSpec,
    responses((status = OK, description = "The budget as it is now", body = BudgetView)))]
pub(super) async fn raise(
    State(app): State<App>,
    if_match: IfMatch,
    PostedTo { id, posted }: PostedTo<BudgetId, RaiseSpec>,
) -> Done<BudgetView> {
    let asked = posted.body;
    let now = app.clock.now();
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let stored = budgets::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let mut after = before.clone();
    // Those that have ended make room.
    after.raises.retain(|raise| now < raise.until);
    check(&asked, &after, now)?;
    after.raises.push(Raise { amount: asked.amount, until: asked.until, reason: asked.reason });
    write.compile(&Resource::Budget(after.clone())).await?;
    budgets::update(&mut write, &after, Some(stored.version), false).await?;
    let texts = super::label_texts(&mut write, std::iter::once(before)).await?;
    let (before, after) = (BudgetView::of(before, &texts), BudgetView::of(&after, &texts));
    let note = note("budget.raise", id.to_string(), Some(&before), Some(&after))?;
    write.finish(note, after, StatusCode::OK, Some(stored.version + 1)).await
}

fn check(asked: &RaiseSpec, budget: &Budget, now: Timestamp) -> Result<(), Problem> {
    let mut checks = Checks::default();
    checks.that(asked.amount > NanoUsd::ZERO, "amount", "must be more than 0");
    checks.that(asked.until > now, "until", "must be in the future");
    checks.that((1..=500).contains(&asked.reason.chars().count()), "reason", "must be 1 to 500 characters");
    let room = budget.raises.len() < Budget::MOST_RAISES;
    checks.that(room, "amount", "a budget has at most 15 raises at once");
    let raised: NanoUsd = budget.raises.iter().map(|raise| raise.amount).sum();
    let most = budget.limit + raised + asked.amount <= MOST;
    checks.that(most, "amount", "limit and raises must be 9007199.254740992 at most together");
    checks.done()
}
