//! `GET /providers`

use axum::Json;
use axum::extract::State;
use tidegate_store::providers;
use tidegate_types::OrganizationId;

use super::ProviderView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists providers.
#[utoipa::path(get, path = "/providers", tag = "providers", operation_id = "providers_list", params(PageQuery),
    responses((status = OK, description = "A page of providers", body = Page<ProviderView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ProviderView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = providers::list(&mut tx, OrganizationId::SYSTEM, page.after()?, page.limit()?).await?;
    Ok(Json(Page::of(&rows, |provider| provider.id)))
}
