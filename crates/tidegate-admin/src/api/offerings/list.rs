//! `GET /offerings`

use axum::Json;
use axum::extract::State;
use tidegate_store::offerings;
use tidegate_types::OrganizationId;

use super::OfferingView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists offerings.
#[utoipa::path(get, path = "/offerings", tag = "offerings", operation_id = "offerings_list", params(PageQuery),
    responses((status = OK, description = "A page of offerings", body = Page<OfferingView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<OfferingView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = offerings::list(&mut tx, OrganizationId::SYSTEM, page.after()?, page.limit()?).await?;
    Ok(Json(Page::of(&rows, |offering| offering.id)))
}
