//! `GET /me`: who the token belongs to and what it may do.

use axum::Json;
use serde::Serialize;
use tidegate_store::{PlatformRole, Role};
use tidegate_types::OrganizationId;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::actor::Caller;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me)]
pub(crate) struct MeView {
    /// Id of the person or service token.
    id: String,
    /// E-mail address; none for service tokens.
    email: Option<String>,
    /// `platform_admin`, `platform_viewer` or none.
    #[schema(value_type = Option<String>)]
    platform_role: Option<PlatformRole>,
    /// Organizations and the role in each. With more than one, name it by `?organization=`.
    memberships: Vec<MembershipView>,
}

/// A role in an organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Membership)]
pub(crate) struct MembershipView {
    /// The organization.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// The membership; none for service tokens.
    #[schema(value_type = Option<String>)]
    member_id: Option<tidegate_types::MemberId>,
    /// The role.
    #[schema(value_type = String)]
    role: Role,
}

/// Shows who the token belongs to.
#[utoipa::path(get, path = "/me", tag = "sessions", operation_id = "me_get",
    responses((status = OK, description = "Who you are", body = MeView)))]
async fn me(caller: Caller) -> Json<MeView> {
    let signed_in = caller.signed_in();
    let memberships = signed_in.memberships().iter().filter(|m| m.organization_id != OrganizationId::SYSTEM);
    Json(MeView {
        id: signed_in.who().to_string(),
        email: signed_in.email().map(str::to_owned),
        platform_role: signed_in.platform(),
        memberships: memberships
            .map(|m| MembershipView {
                organization_id: m.organization_id,
                member_id: m.member_id,
                role: m.role,
            })
            .collect(),
    })
}
