//! `DELETE /models/{id}`

use axum::extract::State;
use tidegate_store::models;
use tidegate_types::{ModelId, OrganizationId};

use super::ModelView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a model.
#[utoipa::path(delete, path = "/models/{id}", tag = "models", operation_id = "models_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ModelId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = models::get(&mut write, OrganizationId::SYSTEM, id).await?;
    if_match.check(stored.version)?;
    models::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("model.delete", id.to_string(), &ModelView::from(&stored.value)).await
}
