//! `POST /teams`

use axum::extract::State;
use tidegate_store::teams;
use tidegate_types::resource::Resource;

use super::{TeamSpec, TeamView};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Makes a team.
#[utoipa::path(post, path = "/teams", tag = "teams", operation_id = "teams_create", request_body = TeamSpec,
    responses((status = CREATED, description = "The new team", body = TeamView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<TeamSpec>) -> Done<TeamView> {
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id = app.new_id();
    let team = posted.body.into_team(write.organization(), id)?;
    write.compile(&Resource::Team(team.clone())).await?;
    teams::insert(&mut write, &team).await?;
    let view = TeamView::from(&team);
    write.created("team.create", id.to_string(), view).await
}
