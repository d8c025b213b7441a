//! `GET /encryption/rotations`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidegate_store::{key_rotations, root_keys};
use utoipa::ToSchema;

use super::{RootView, RotationView};
use crate::actor::Caller;
use crate::problem::Problem;
use crate::state::App;

/// Root keys and rotations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Encryption {
    /// The last 50 rotations, newest first.
    data: Vec<RotationView>,
    /// The root keys; none: a local key wraps everything directly.
    root_keys: Vec<RootView>,
}

/// Which root keys there are, and how far rotations are. A key that no root key names as its keeper may be
/// removed from the configuration.
#[utoipa::path(get, path = "/encryption/rotations", tag = "encryption", operation_id = "encryption_rotations",
    responses((status = OK, description = "Root keys and rotations", body = Encryption)))]
pub(super) async fn rotations(State(app): State<App>, caller: Caller) -> Result<Json<Encryption>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let data = key_rotations::rotations(&mut tx).await?.iter().map(RotationView::from).collect();
    let root_keys = root_keys::list(&mut tx).await?.iter().map(RootView::from).collect();
    Ok(Json(Encryption { data, root_keys }))
}
