//! The guard: who calls, for which organization, and whether the capability table allows it.
//!
//! A handler gets a [`Caller`] only through here. The decision depends on the token, the method
//! and the path, never on `Host` or `X-Forwarded-*`.

use axum::extract::{FromRequestParts, OriginalUri};
use http::header::AUTHORIZATION;
use http::request::Parts;
use tidegate_secrets::token::{self, TokenKind};
use tidegate_store::Actor;
use tidegate_store::sign_in::{self, NoActor, SignedIn};
use tidegate_types::{OrganizationId, SessionId};

use crate::capability::{self, Action, Noun, Reach};
use crate::problem::Problem;
use crate::state::App;

/// An authenticated caller who may do what it asks for, acting for one organization.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    signed_in: SignedIn,
    session: Option<SessionId>,
    actor: Actor,
    wait: bool,
}

impl Caller {
    /// Who acts, bound to the organization it acts for.
    pub(crate) const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The organization acted for; the system's own for what stands above organizations.
    pub(crate) const fn organization_id(&self) -> OrganizationId {
        self.actor.organization_id()
    }

    /// Who is signed in, with every membership.
    pub(crate) const fn signed_in(&self) -> &SignedIn {
        &self.signed_in
    }

    /// The session, unless a service token was presented.
    pub(crate) const fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Whether the caller wants to wait for the fleet.
    pub(crate) const fn waits(&self) -> bool {
        self.wait
    }

    /// The same caller above organizations, when its platform role allows the action there.
    pub(crate) fn above(&self, noun: Noun, action: Action) -> Result<Actor, Problem> {
        let actor = self.signed_in.platform_actor();
        let allowed = actor.filter(|actor| capability::permits(actor, noun, action));
        allowed.ok_or_else(|| Problem::forbidden("This needs a platform role."))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (signed_in, session) = authenticate(parts, app).await?;
        let uri = OriginalUri::from_request_parts(parts, app).await.map_err(|_| Problem::internal())?.0;
        let undeclared = || Problem::forbidden("This endpoint has no declared capability.");
        let path = uri.path().strip_prefix("/api/v1/").ok_or_else(undeclared)?;
        let noun = Noun::of_path(path).ok_or_else(undeclared)?;
        let asked = Asked::read(uri.query().unwrap_or_default())?;
        let actor = actor(&signed_in, noun, path, asked.organization)?;
        if !capability::permits(&actor, noun, Action::of_method(&parts.method)) {
            return Err(Problem::forbidden("Your role does not allow this."));
        }
        Ok(Self { signed_in, session, actor, wait: asked.wait })
    }
}

async fn authenticate(parts: &Parts, app: &App) -> Result<(SignedIn, Option<SessionId>), Problem> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, text) = header.and_then(|text| text.split_once(' ')).ok_or_else(Problem::unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthenticated());
    }
    let (text, now) = (text.trim(), app.clock.now());
    if text.starts_with("tgs_") {
        let token = token::parse(TokenKind::Service, text).ok_or_else(Problem::unauthenticated)?;
        let found = sign_in::by_token(&app.store, token.id(), token.hash(), now).await?;
        return found.map(|signed_in| (signed_in, None)).ok_or_else(Problem::unauthenticated);
    }
    let session = app.sessions.verify(text, now).map_err(|_| Problem::unauthenticated())?;
    let found = sign_in::by_session(&app.store, session.session_id, now).await?;
    found.map(|signed_in| (signed_in, Some(session.session_id))).ok_or_else(Problem::unauthenticated)
}

/// Whom the caller acts for.
fn actor(
    signed_in: &SignedIn,
    noun: Noun,
    path: &str,
    organization: Option<OrganizationId>,
) -> Result<Actor, Problem> {
    let no_organization = || Problem::not_found("organization");
    // An organization's own endpoint names it in the path.
    let named = match (noun, path.split('/').nth(1)) {
        (Noun::Organizations, Some(id)) => Some(id.parse().map_err(|_| no_organization())?),
        _ => organization,
    };
    if named == Some(OrganizationId::SYSTEM) {
        let above = signed_in.platform_actor().filter(|_| noun.reach() != Reach::Organization);
        return above.ok_or_else(no_organization);
    }
    if named.is_none() && noun.reach() == Reach::System {
        let first = signed_in.memberships().first().map(|membership| membership.organization_id);
        let member = || first.and_then(|id| signed_in.actor(Some(id)).ok());
        return signed_in
            .platform_actor()
            .or_else(member)
            .ok_or_else(|| Problem::forbidden("You belong to no organization."));
    }
    let found = match signed_in.actor(named) {
        Ok(actor) => Ok(actor),
        Err(NoActor::NotMember) => return Err(no_organization()),
        Err(NoActor::OrganizationNeeded) if signed_in.memberships().is_empty() => {
            signed_in.platform_actor().ok_or(NoActor::OrganizationNeeded)
        }
        Err(needed @ NoActor::OrganizationNeeded) => Err(needed),
    };
    let actor = found.map_err(|_| organization_required())?;
    if actor.organization_id() == OrganizationId::SYSTEM && noun.reach() == Reach::Organization {
        return Err(organization_required());
    }
    Ok(actor)
}

/// 400: a platform token, or a person with several organizations, must name one.
pub(crate) fn organization_required() -> Problem {
    Problem::malformed("organization_required", "Say whose data you mean: add `?organization=org_…`.")
        .with("organization", "is required")
}

/// What every endpoint may be asked in its query string.
#[derive(Debug, Default)]
struct Asked {
    organization: Option<OrganizationId>,
    wait: bool,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Problem> {
        let mut asked = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("organization", "system")) => asked.organization = Some(OrganizationId::SYSTEM),
                Some(("organization", id)) => {
                    let id = id
                        .parse()
                        .map_err(|_| Problem::field("organization", "must be an id such as org_…"))?;
                    asked.organization = Some(id);
                }
                Some(("wait", "fleet")) => asked.wait = true,
                Some(("wait", _)) => return Err(Problem::field("wait", "must be `fleet`")),
                _ => {}
            }
        }
        Ok(asked)
    }
}
