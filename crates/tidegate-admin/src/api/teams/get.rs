//! `GET /teams/{id}`

use axum::extract::State;
use tidegate_store::teams;
use tidegate_types::TeamId;

use super::TeamView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a team.
#[utoipa::path(get, path = "/teams/{id}", tag = "teams", operation_id = "teams_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The team", body = TeamView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TeamId>,
) -> Result<Found<TeamView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = teams::get(&mut tx, id).await?;
    Ok(Found::new(&stored))
}
