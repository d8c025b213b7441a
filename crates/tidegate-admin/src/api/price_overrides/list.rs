//! `GET /price-overrides`

use axum::Json;
use axum::extract::State;
use tidegate_store::offerings;

use super::PriceOverrideView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists the organization's own prices.
#[utoipa::path(get, path = "/price-overrides", tag = "price-overrides", operation_id = "price_overrides_list", params(PageQuery),
    responses((status = OK, description = "A page of overrides", body = Page<PriceOverrideView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PriceOverrideView>>, Problem> {
    super::super::needs_organization(&caller)?;
    let mut tx = app.store.begin(caller.actor()).await?;
    let owner = caller.organization_id();
    let rows = offerings::list(&mut tx, owner, page.after()?, page.limit()?).await?;
    Ok(Json(Page::of(&rows, |offering| offering.id)))
}
