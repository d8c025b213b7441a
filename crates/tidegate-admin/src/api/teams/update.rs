//! `PATCH /teams/{id}`

use axum::extract::State;
use tidegate_store::teams;
use tidegate_types::TeamId;
use tidegate_types::resource::Resource;

use super::{TeamSpec, TeamView};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::tightens;
use crate::write::{Done, Write};

/// Changes a team: merge patch.
#[utoipa::path(patch, path = "/teams/{id}", tag = "teams", operation_id = "teams_update", request_body = TeamSpec,
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The team as it is now", body = TeamView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TeamId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<TeamView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = teams::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let after = patch.apply(&TeamSpec::from(before))?.into_team(write.organization(), id)?;
    write.compile(&Resource::Team(after.clone())).await?;
    let tightens = after.paused && !before.paused || tightens::limits(&before.limits, &after.limits);
    teams::update(&mut write, &after, Some(stored.version), tightens).await?;
    write
        .updated(
            "team.update",
            id.to_string(),
            &TeamView::from(before),
            TeamView::from(&after),
            stored.version,
        )
        .await
}
