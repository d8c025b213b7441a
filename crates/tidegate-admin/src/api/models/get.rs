//! `GET /models/{id}`

use axum::extract::State;
use tidegate_store::models;
use tidegate_types::{ModelId, OrganizationId};

use super::ModelView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a model.
#[utoipa::path(get, path = "/models/{id}", tag = "models", operation_id = "models_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The model", body = ModelView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ModelId>,
) -> Result<Found<ModelView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = models::get(&mut tx, OrganizationId::SYSTEM, id).await?;
    Ok(Found::new(&stored))
}
