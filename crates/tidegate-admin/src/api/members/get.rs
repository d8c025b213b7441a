//! `GET /members/{id}`

use axum::extract::State;
use tidegate_store::members;
use tidegate_types::MemberId;

use super::MemberView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a member.
#[utoipa::path(get, path = "/members/{id}", tag = "members", operation_id = "members_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The member", body = MemberView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MemberId>,
) -> Result<Found<MemberView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = members::get(&mut tx, id).await?;
    Ok(Found::new(&stored))
}
