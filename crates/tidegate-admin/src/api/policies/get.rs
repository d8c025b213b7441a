//! `GET /policies/{id}`

use axum::extract::State;
use tidegate_store::policies;
use tidegate_types::PolicyId;

use super::PolicyView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a policy.
#[utoipa::path(get, path = "/policies/{id}", tag = "policies", operation_id = "policies_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The policy", body = PolicyView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PolicyId>,
) -> Result<Found<PolicyView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = policies::get(&mut tx, id).await?;
    Ok(Found::new(&stored))
}
