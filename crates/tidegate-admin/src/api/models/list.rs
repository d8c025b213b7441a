//! `GET /models`

use axum::Json;
use axum::extract::State;
use tidegate_store::models;
use tidegate_types::OrganizationId;

use super::ModelView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists models.
#[utoipa::path(get, path = "/models", tag = "models", operation_id = "models_list", params(PageQuery),
    responses((status = OK, description = "A page of models", body = Page<ModelView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ModelView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = models::list(&mut tx, OrganizationId::SYSTEM, page.after()?, page.limit()?).await?;
    Ok(Json(Page::of(&rows, |model| model.id)))
}
