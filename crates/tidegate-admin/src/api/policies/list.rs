//! `GET /policies`

use axum::Json;
use axum::extract::State;
use tidegate_store::policies;

use super::PolicyView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists policies.
#[utoipa::path(get, path = "/policies", tag = "policies", operation_id = "policies_list", params(PageQuery),
    responses((status = OK, description = "A page of policies", body = Page<PolicyView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PolicyView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = policies::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::of(&rows, |policy| policy.id)))
}
