//! `POST /sessions/link`

use axum::Json as JsonAnswer;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tidegate_secrets::token::{self, PresentedToken, TokenKind};
use tidegate_store::actor::Person;
use tidegate_store::{AuditNote, SystemActor, persons};
use tidegate_types::{OrganizationId, Secret};
use utoipa::ToSchema;

use super::{SessionView, start, wrong};
use crate::body::Json;
use crate::passwords;
use crate::peer::{Peer, too_many};
use crate::problem::Problem;
use crate::state::App;

/// A single-use link and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redeem {
    /// The token of the link, `tgl_…`.
    token: String,
    /// The new password, at least 12 characters.
    #[schema(format = Password)]
    password: String,
}

/// Uses a single-use sign-in link: sets the password, ends other sessions, signs in.
#[utoipa::path(post, path = "/sessions/link", tag = "sessions", operation_id = "sessions_link",
    request_body = Redeem, responses((status = CREATED, description = "Signed in", body = SessionView)))]
pub(super) async fn redeem(
    State(app): State<App>,
    Peer(address): Peer,
    Json(asked): Json<Redeem>,
) -> Result<(StatusCode, JsonAnswer<SessionView>), Problem> {
    passwords::check(&asked.password)?;
    let presented: PresentedToken<Person> = token::parse(TokenKind::Link, &asked.token).ok_or_else(wrong)?;
    let claimed = presented.id().to_string();
    app.throttle.admit(&claimed, address, app.clock.now()).map_err(too_many)?;
    // Hashed first: a link is not used up when hashing is refused.
    let hash = app.passwords.hash(Secret::new(asked.password)).await?;
    let actor = SystemActor::new("sign-in").acting_for(OrganizationId::SYSTEM);
    let mut change = app.store.change(&actor, app.clock.now()).await?;
    let person = persons::redeem_link(&mut change, presented.hash()).await?.ok_or_else(wrong)?;
    persons::set_password(&mut change, person, &hash).await?;
    let note =
        AuditNote { action: "person.set_password", object: person.to_string(), before: None, after: None };
    change.commit(note).await?;
    let session = start(&app, person).await?;
    app.throttle.succeeded(&claimed, address);
    Ok((StatusCode::CREATED, JsonAnswer(session)))
}
