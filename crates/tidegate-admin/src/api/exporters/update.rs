//! `PATCH /exporters/{id}`

use axum::extract::State;
use tidegate_store::exporters::{self, ExporterId};

use super::seal::seal;
use super::{ExporterSpec, ExporterView, Headers, NewExporter};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::write::{Done, Write};

/// Changes an exporter: merge patch. `headers`, where given, take the place of all headers before.
#[utoipa::path(patch, path = "/exporters/{id}", tag = "exporters", operation_id = "exporters_update",
    request_body = NewExporter, params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The exporter as it is now", body = ExporterView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ExporterId>,
    if_match: IfMatch,
    mut patch: MergePatch,
) -> Done<ExporterView> {
    let headers: Option<Headers> = patch.take("headers")?;
    let mut write = Write::begin(&app, &caller).await?;
    let before = exporters::get(&mut write, id).await?;
    if_match.check(before.version)?;
    let after = patch.apply(&ExporterSpec::from(&before.exporter))?.into_exporter(id, headers.as_ref())?;
    let sealed = match &headers {
        Some(headers) => {
            Some(seal(&app, &mut write, id, before.secret_version.saturating_add(1), headers).await?)
        }
        None => None,
    };
    exporters::update(&mut write, &after, sealed.as_ref(), before.version).await?;
    let now = exporters::get(&mut write, id).await?;
    write
        .updated(
            "exporter.update",
            id.to_string(),
            &(&before).into(),
            ExporterView::from(&now),
            before.version,
        )
        .await
}
