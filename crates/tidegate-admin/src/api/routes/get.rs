//! `GET /routes/{id}`

use axum::extract::State;
use tidegate_store::routes;
use tidegate_types::RouteId;

use super::RouteView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a route.
#[utoipa::path(get, path = "/routes/{id}", tag = "routes", operation_id = "routes_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The route", body = RouteView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RouteId>,
) -> Result<Found<RouteView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = routes::get(&mut tx, id).await?;
    Ok(Found::new(&stored))
}
