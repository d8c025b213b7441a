//! `POST /models`

use axum::extract::State;
use tidegate_store::models;
use tidegate_types::resource::Resource;

use super::{ModelSpec, ModelView};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Makes a model.
#[utoipa::path(post, path = "/models", tag = "models", operation_id = "models_create", request_body = ModelSpec,
    responses((status = CREATED, description = "The new model", body = ModelView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<ModelSpec>) -> Done<ModelView> {
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id = app.new_id();
    let model = posted.body.into_model(id)?;
    write.compile(&Resource::Model(model.clone())).await?;
    models::insert(&mut write, &model).await?;
    let view = ModelView::from(&model);
    write.created("model.create", id.to_string(), view).await
}
