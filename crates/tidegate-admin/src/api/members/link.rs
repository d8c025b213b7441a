//! `POST /members/{id}/link`

use axum::extract::State;
use tidegate_store::{PlatformRole, members, person_ties};
use tidegate_types::MemberId;

use super::{InvitedMember, MemberView, make_link, may_touch};
use crate::api::keys::Nothing;
use crate::idempotency::PostedTo;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write};

/// Makes a new single-use sign-in link: for a forgotten password.
#[utoipa::path(post, path = "/members/{id}/link", tag = "members", operation_id = "members_link",
    params(("id" = String, Path, description = "The member's id")), request_body = Option<Nothing>,
    responses((status = CREATED, description = "The member and the link", body = InvitedMember)))]
pub(super) async fn link(
    State(app): State<App>,
    PostedTo { id, posted }: PostedTo<MemberId, Nothing>,
) -> Done<InvitedMember> {
    let Nothing {} = posted.body;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let stored = members::get(&mut write, id).await?;
    let actor = posted.caller.actor();
    may_touch(actor, stored.value.role)?;
    let person = stored.value.person_id;
    let anybody = actor.platform() == Some(PlatformRole::PlatformAdmin);
    if !anybody && !person_ties::is_only_here(&mut write, person).await? {
        return Err(Problem::forbidden(
            "This person also belongs elsewhere; only a platform administrator may make a link for them.",
        )
        .into());
    }
    let view = MemberView::from(&stored.value);
    let link = make_link(&app, &mut write, person).await?;
    let audited = view.clone();
    write
        .issued("member.link", id.to_string(), &audited, InvitedMember { view, sign_in_link: Some(link) })
        .await
}
