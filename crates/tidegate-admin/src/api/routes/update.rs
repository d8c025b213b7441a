//! `PATCH /routes/{id}`

use axum::extract::State;
use tidegate_store::routes;
use tidegate_types::RouteId;
use tidegate_types::resource::Resource;

use super::{RouteSpec, RouteView};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::write::{Done, Write};

/// Changes a route: merge patch.
#[utoipa::path(patch, path = "/routes/{id}", tag = "routes", operation_id = "routes_update", request_body = RouteSpec,
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The route as it is now", body = RouteView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RouteId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<RouteView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = routes::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let mut after = patch.apply(&RouteSpec::from(before))?.into_route(write.organization(), id)?;
    after.cache_purges = before.cache_purges;
    write.compile(&Resource::Route(after.clone())).await?;
    let tightens = false;
    routes::update(&mut write, &after, Some(stored.version), tightens).await?;
    write
        .updated(
            "route.update",
            id.to_string(),
            &RouteView::from(before),
            RouteView::from(&after),
            stored.version,
        )
        .await
}
