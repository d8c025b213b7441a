//! `DELETE /budgets/{id}`

use axum::extract::State;
use tidegate_store::budgets;
use tidegate_types::BudgetId;

use super::BudgetView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a budget.
#[utoipa::path(delete, path = "/budgets/{id}", tag = "budgets", operation_id = "budgets_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<BudgetId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = budgets::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let texts = super::label_texts(&mut write, std::iter::once(&stored.value)).await?;
    let view = BudgetView::of(&stored.value, &texts);
    budgets::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("budget.delete", id.to_string(), &view).await
}
