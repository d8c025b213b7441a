//! `GET /pools`

use axum::Json;
use axum::extract::State;
use tidegate_store::placement;

use super::PoolView;
use crate::actor::Caller;
use crate::body::Query;
use crate::fleet_wait::LIVE_MS;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists the pools.
#[utoipa::path(get, path = "/pools", tag = "fleet", operation_id = "pools_list", params(PageQuery),
    responses((status = OK, description = "A page of pools", body = Page<PoolView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PoolView>>, Problem> {
    let (after, limit) = (page.after::<String>()?, page.limit()? as usize);
    let mut tx = app.store.begin(caller.actor()).await?;
    let mut pools = placement::pools(&mut tx, app.clock.now().plus_millis(-LIVE_MS)).await?;
    pools.retain(|pool| after.as_ref().is_none_or(|after| pool.name > *after));
    let has_more = pools.len() > limit;
    pools.truncate(limit);
    Ok(Json(Page::from_rows(&pools, has_more, |pool| pool.name.clone(), PoolView::from)))
}
