//! `GET /budgets`

use axum::Json;
use axum::extract::State;
use tidegate_store::budgets;

use super::BudgetView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists budgets and what their present windows have used.
#[utoipa::path(get, path = "/budgets", tag = "budgets", operation_id = "budgets_list", params(PageQuery),
    responses((status = OK, description = "A page of budgets", body = Page<BudgetView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<BudgetView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = budgets::list(&mut tx, page.after()?, page.limit()?).await?;
    let data = super::views(&app, &mut tx, &rows.data).await?;
    let cursor = Page::from_rows(&rows.data, rows.has_more, |row| row.value.id, |_| ());
    Ok(Json(Page { data, has_more: cursor.has_more, next_cursor: cursor.next_cursor }))
}
