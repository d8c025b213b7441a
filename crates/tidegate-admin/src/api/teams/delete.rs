//! `DELETE /teams/{id}`

use axum::extract::State;
use tidegate_store::teams;
use tidegate_types::TeamId;

use super::TeamView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a team.
#[utoipa::path(delete, path = "/teams/{id}", tag = "teams", operation_id = "teams_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TeamId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = teams::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    teams::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("team.delete", id.to_string(), &TeamView::from(&stored.value)).await
}
