//! `POST /routes`

use axum::extract::State;
use tidegate_store::routes;
use tidegate_types::resource::Resource;

use super::{RouteSpec, RouteView};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Makes a route.
#[utoipa::path(post, path = "/routes", tag = "routes", operation_id = "routes_create", request_body = RouteSpec,
    responses((status = CREATED, description = "The new route", body = RouteView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<RouteSpec>) -> Done<RouteView> {
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id = app.new_id();
    let route = posted.body.into_route(write.organization(), id)?;
    write.compile(&Resource::Route(route.clone())).await?;
    routes::insert(&mut write, &route).await?;
    let view = RouteView::from(&route);
    write.created("route.create", id.to_string(), view).await
}
