//! `DELETE /routes/{id}`

use axum::extract::State;
use tidegate_store::routes;
use tidegate_types::RouteId;

use super::RouteView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a route.
#[utoipa::path(delete, path = "/routes/{id}", tag = "routes", operation_id = "routes_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RouteId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = routes::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    routes::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("route.delete", id.to_string(), &RouteView::from(&stored.value)).await
}
