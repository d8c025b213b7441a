//! `GET /budgets/{id}`

use axum::extract::State;
use tidegate_store::budgets;
use tidegate_types::BudgetId;

use super::BudgetView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a budget and what its present window has used.
#[utoipa::path(get, path = "/budgets/{id}", tag = "budgets", operation_id = "budgets_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The budget", body = BudgetView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<BudgetId>,
) -> Result<Found<BudgetView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = budgets::get(&mut tx, id).await?;
    let mut views = super::views(&app, &mut tx, std::slice::from_ref(&stored)).await?;
    let view = views.pop().ok_or_else(Problem::internal)?;
    Ok(Found::of(view, stored.version))
}
