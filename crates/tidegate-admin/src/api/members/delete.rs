//! `DELETE /members/{id}`

use axum::extract::State;
use tidegate_store::members;
use tidegate_types::MemberId;

use super::{MemberView, may_touch};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Takes a person out of the organization. The last owner stays.
#[utoipa::path(delete, path = "/members/{id}", tag = "members", operation_id = "members_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MemberId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = members::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    may_touch(caller.actor(), stored.value.role)?;
    members::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("member.delete", id.to_string(), &MemberView::from(&stored.value)).await
}
