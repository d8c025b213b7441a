//! `GET /keys/{id}`

use axum::extract::State;
use tidegate_store::keys;
use tidegate_types::KeyId;

use super::KeyView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a key, without its text.
#[utoipa::path(get, path = "/keys/{id}", tag = "keys", operation_id = "keys_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The key", body = KeyView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<KeyId>,
) -> Result<Found<KeyView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = keys::get(&mut tx, id).await?;
    Ok(Found::new(&stored))
}
