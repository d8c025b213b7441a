//! `PATCH /models/{id}`

use axum::extract::State;
use tidegate_store::models;
use tidegate_types::resource::Resource;
use tidegate_types::{ModelId, OrganizationId};

use super::{ModelSpec, ModelView};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::tightens;
use crate::write::{Done, Write};

/// Changes a model: merge patch.
#[utoipa::path(patch, path = "/models/{id}", tag = "models", operation_id = "models_update", request_body = ModelSpec,
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The model as it is now", body = ModelView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ModelId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<ModelView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = models::get(&mut write, OrganizationId::SYSTEM, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let after = patch.apply(&ModelSpec::from(before))?.into_model(id)?;
    tightens::unchanged("name", &before.name, &after.name)?;
    write.compile(&Resource::Model(after.clone())).await?;
    let tightens = false;
    models::update(&mut write, &after, Some(stored.version), tightens).await?;
    write
        .updated(
            "model.update",
            id.to_string(),
            &ModelView::from(before),
            ModelView::from(&after),
            stored.version,
        )
        .await
}
