//! `POST /service-tokens`

use axum::extract::State;
use serde::Deserialize;
use tidegate_secrets::token::{self, TokenKind};
use tidegate_store::service_tokens::{self, NewServiceToken};
use tidegate_store::{Actor, PlatformRole, Role};
use tidegate_telemetry::entropy;
use tidegate_types::{OrganizationId, ServiceTokenId, Timestamp};
use utoipa::ToSchema;

use super::{IssuedToken, TokenView};
use crate::api::members::may_touch;
use crate::checks::Checks;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write};

/// A service token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenCreate {
    /// Unique in the organization.
    name: String,
    /// `owner`, `admin`, `member`, `viewer` or `billing`; needed in an organization.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// `platform_admin` or `platform_viewer`; only platform administrators give it.
    #[schema(value_type = Option<String>)]
    platform_role: Option<PlatformRole>,
    /// Refused from this time on.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Makes a service token. Its text is shown by this answer only.
#[utoipa::path(post, path = "/service-tokens", tag = "service-tokens", operation_id = "service_tokens_create",
    request_body = TokenCreate,
    responses((status = CREATED, description = "The new token with its text", body = IssuedToken)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<TokenCreate>) -> Done<IssuedToken> {
    let asked = posted.body;
    let mut checks = Checks::default();
    checks.name("name", &asked.name).ahead("expires_at", asked.expires_at, app.clock.now()).done()?;
    let role = given_role(posted.caller.actor(), &asked)?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id: ServiceTokenId = app.new_id();
    let mut random = [0; 32];
    entropy::fill(&mut random);
    let (text, token_hash) = token::issue(TokenKind::Service, id, random);
    let new = NewServiceToken {
        id,
        name: &asked.name,
        role,
        platform_role: asked.platform_role,
        token_hash,
        expires_at: asked.expires_at,
    };
    service_tokens::insert(&mut write, &new).await?;
    let view = TokenView::from(&service_tokens::get(&mut write, id).await?);
    let audited = view.clone();
    let shown = IssuedToken { token: text.expose().to_owned(), view };
    write.issued("service_token.create", id.to_string(), &audited, shown).await
}

/// The role in the organization, when the actor may give what is asked for.
fn given_role(actor: &Actor, asked: &TokenCreate) -> Result<Role, Problem> {
    if asked.platform_role.is_some() && actor.platform() != Some(PlatformRole::PlatformAdmin) {
        return Err(Problem::forbidden("Only a platform administrator may give a platform role."));
    }
    if actor.organization_id() == OrganizationId::SYSTEM {
        // Above organizations a role of an organization means nothing; the least one is kept.
        let needed = || Problem::invalid("platform_role", "is required above organizations");
        return asked.platform_role.map(|_| Role::Viewer).ok_or_else(needed);
    }
    let role = asked.role.ok_or_else(|| Problem::invalid("role", "is required"))?;
    may_touch(actor, role)?;
    Ok(role)
}
