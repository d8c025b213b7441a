//! `DELETE /budgets/{id}/raises`

use axum::extract::State;
use tidegate_store::budgets;
use tidegate_types::BudgetId;
use tidegate_types::resource::{Budget, Resource};

use super::BudgetView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Write};

/// Takes a budget's temporary raises back before their end.
#[utoipa::path(delete, path = "/budgets/{id}/raises", tag = "budgets", operation_id = "budgets_lower",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The budget as it is now", body = BudgetView)))]
pub(super) async fn lower(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<BudgetId>,
    if_match: IfMatch,
) -> Done<BudgetView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = budgets::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let after = Budget { raises: Vec::new(), ..before.clone() };
    write.compile(&Resource::Budget(after.clone())).await?;
    budgets::update(&mut write, &after, Some(stored.version), true).await?;
    let texts = super::label_texts(&mut write, std::iter::once(before)).await?;
    let (before, after) = (BudgetView::of(before, &texts), BudgetView::of(&after, &texts));
    write.updated("budget.lower", id.to_string(), &before, after, stored.version).await
}
