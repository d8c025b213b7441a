//! `GET /routes`

use axum::Json;
use axum::extract::State;
use tidegate_store::routes;

use super::RouteView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists routes.
#[utoipa::path(get, path = "/routes", tag = "routes", operation_id = "routes_list", params(PageQuery),
    responses((status = OK, description = "A page of routes", body = Page<RouteView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<RouteView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = routes::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::of(&rows, |route| route.id)))
}
