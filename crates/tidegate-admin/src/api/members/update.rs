//! `PATCH /members/{id}`

use axum::extract::State;
use tidegate_store::members;
use tidegate_types::MemberId;

use super::{MemberSpec, MemberView, may_touch};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::write::{Done, Write};

/// Gives a member another role. The last owner keeps it.
#[utoipa::path(patch, path = "/members/{id}", tag = "members", operation_id = "members_update",
    request_body = MemberSpec, params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The member as it is now", body = MemberView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MemberId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<MemberView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = members::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let spec = patch.apply(&MemberSpec { role: stored.value.role })?;
    may_touch(caller.actor(), stored.value.role)?;
    may_touch(caller.actor(), spec.role)?;
    members::update_role(&mut write, id, spec.role, Some(stored.version)).await?;
    let before = MemberView::from(&stored.value);
    let after = MemberView { role: spec.role, ..before.clone() };
    write.updated("member.update", id.to_string(), &before, after, stored.version).await
}
