//! `/service-tokens`: tokens of the management API for programs. The text is shown once.

mod create;
mod delete;
mod get;
mod list;

use serde::Serialize;
use tidegate_store::service_tokens::ServiceToken;
use tidegate_store::{PlatformRole, Role};
use tidegate_types::{ServiceTokenId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(get::get, delete::delete))
}

/// A service token, without its text.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ServiceToken)]
pub(crate) struct TokenView {
    /// Identity; part of the token's text.
    #[schema(value_type = String)]
    id: ServiceTokenId,
    /// Unique in the organization.
    name: String,
    /// What it may do in its organization.
    #[schema(value_type = String)]
    role: Role,
    /// What it may do above organizations.
    #[schema(value_type = Option<String>)]
    platform_role: Option<PlatformRole>,
    /// Who made it.
    created_by: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Refused from this time on.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Refused since.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

/// A service token with its text, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IssuedToken {
    /// Send it as `Authorization: Bearer <token>`. It cannot be shown again.
    token: String,
    /// The token.
    #[serde(flatten)]
    view: TokenView,
}

impl From<&ServiceToken> for TokenView {
    fn from(token: &ServiceToken) -> Self {
        Self {
            id: token.id,
            name: token.name.clone(),
            role: token.role,
            platform_role: token.platform_role,
            created_by: token.created_by.clone(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
        }
    }
}
