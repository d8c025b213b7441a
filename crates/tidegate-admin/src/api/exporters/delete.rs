//! `DELETE /exporters/{id}`

use axum::extract::State;
use tidegate_store::exporters::{self, ExporterId};

use super::ExporterView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes an exporter; what was on its way there is dropped.
#[utoipa::path(delete, path = "/exporters/{id}", tag = "exporters", operation_id = "exporters_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ExporterId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = exporters::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    exporters::delete(&mut write, id, stored.version).await?;
    write.removed("exporter.delete", id.to_string(), &ExporterView::from(&stored)).await
}
