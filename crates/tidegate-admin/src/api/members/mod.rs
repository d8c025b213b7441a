//! `/members`: people with a role in the organization.
//!
//! Nobody gives a role above their own. A sign-in link is shown only for a person whom it opens
//! nothing else than this organization for: an invitation must not take over somebody's account.

mod create;
mod delete;
mod get;
mod link;
mod list;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_secrets::token::{self, TokenKind};
use tidegate_store::members::Member;
use tidegate_store::{Actor, Change, PersonId, PlatformRole, Role, persons};
use tidegate_telemetry::entropy;
use tidegate_types::{MemberId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Problem;
use crate::state::App;

/// How long a sign-in link can be used, in milliseconds.
pub(crate) const LINK_LIFETIME_MS: i64 = 7 * 24 * 60 * 60 * 1000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(link::link))
}

/// A member.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberView {
    /// Identity.
    #[schema(value_type = String)]
    id: MemberId,
    /// E-mail address.
    email: String,
    /// Name for people.
    name: String,
    /// `owner`, `admin`, `member`, `viewer` or `billing`.
    #[schema(value_type = String)]
    role: Role,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// What may be changed about a member.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberSpec {
    /// `owner`, `admin`, `member`, `viewer` or `billing`.
    #[schema(value_type = String)]
    role: Role,
}

/// A member with a single-use sign-in link, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvitedMember {
    /// The member.
    #[serde(flatten)]
    view: MemberView,
    /// Opens the account once; none when the person already has one.
    sign_in_link: Option<String>,
}

impl From<&Member> for MemberView {
    fn from(member: &Member) -> Self {
        Self {
            id: member.id,
            email: member.email.clone(),
            name: member.name.clone(),
            role: member.role,
            created_at: super::made_at(member.id),
        }
    }
}

/// Refuses to give, change or take a role that only owners may touch.
pub(super) fn may_touch(actor: &Actor, role: Role) -> Result<(), Problem> {
    let owner = actor.role() == Some(Role::Owner) || actor.platform() == Some(PlatformRole::PlatformAdmin);
    if role != Role::Owner || owner {
        return Ok(());
    }
    Err(Problem::forbidden("Only an owner may do this to owners."))
}

/// Makes a single-use link for a person.
pub(crate) async fn make_link(app: &App, change: &mut Change, person: PersonId) -> Result<String, Problem> {
    let mut random = [0; 32];
    entropy::fill(&mut random);
    let (text, hash) = token::issue(TokenKind::Link, person, random);
    let expires_at = change.now().plus_millis(LINK_LIFETIME_MS);
    persons::create_link(change, person, &hash, expires_at).await?;
    // Behind the '#': browsers send it to no server and write it in no log.
    Ok(format!("{}/sign-in#{}", app.public_url, text.expose()))
}
