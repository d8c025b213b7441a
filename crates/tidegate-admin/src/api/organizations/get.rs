//! `GET /organizations/{id}`

use axum::extract::State;
use tidegate_store::{organizations, placement};

use super::OrganizationView;
use crate::actor::Caller;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows an organization. The guard has bound the caller to the one in the path.
#[utoipa::path(get, path = "/organizations/{id}", tag = "organizations", operation_id = "organizations_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The organization", body = OrganizationView)))]
pub(super) async fn get(State(app): State<App>, caller: Caller) -> Result<Found<OrganizationView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = organizations::get(&mut tx).await?;
    let pools = placement::of(&mut tx).await?;
    Ok(Found::of(OrganizationView::of(&stored.value, pools), stored.version))
}
