//! `POST /exporters`

use axum::extract::State;
use tidegate_store::exporters;

use super::seal::seal;
use super::{ExporterSpec, ExporterView, NewExporter};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Adds an exporter: it is given the traces of calls from now on.
#[utoipa::path(post, path = "/exporters", tag = "exporters", operation_id = "exporters_create", request_body = NewExporter,
    responses((status = CREATED, description = "The exporter", body = ExporterView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<NewExporter>) -> Done<ExporterView> {
    let id = app.new_id();
    let NewExporter { name, url, enabled, headers } = posted.body;
    let exporter = ExporterSpec { name, url, enabled }.into_exporter(id, Some(&headers))?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let sealed = seal(&app, &mut write, id, 1, &headers).await?;
    exporters::insert(&mut write, &exporter, &sealed).await?;
    let view = ExporterView::from(&exporters::get(&mut write, id).await?);
    write.created("exporter.create", id.to_string(), view).await
}
