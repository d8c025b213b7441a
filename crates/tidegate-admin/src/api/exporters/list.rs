//! `GET /exporters`

use axum::Json;
use axum::extract::State;
use tidegate_store::exporters;

use super::ExporterView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists exporters.
#[utoipa::path(get, path = "/exporters", tag = "exporters", operation_id = "exporters_list", params(PageQuery),
    responses((status = OK, description = "A page of exporters", body = Page<ExporterView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ExporterView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = exporters::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |stored| stored.exporter.id, ExporterView::from)))
}
