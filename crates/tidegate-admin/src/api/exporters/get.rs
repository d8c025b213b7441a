//! `GET /exporters/{id}`

use axum::extract::State;
use tidegate_store::exporters::{self, ExporterId};

use super::ExporterView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows an exporter, without the values of its headers.
#[utoipa::path(get, path = "/exporters/{id}", tag = "exporters", operation_id = "exporters_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The exporter", body = ExporterView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ExporterId>,
) -> Result<Found<ExporterView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = exporters::get(&mut tx, id).await?;
    Ok(Found::of(ExporterView::from(&stored), stored.version))
}
