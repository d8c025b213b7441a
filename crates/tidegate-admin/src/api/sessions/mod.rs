//! `/sessions`: signing in with e-mail and password, by a single-use link, and signing out.

mod create;
mod delete;
mod link;

use serde::Serialize;
use tidegate_secrets::session::Session;
use tidegate_store::{PersonId, sign_in};
use tidegate_types::{SessionId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Problem;
use crate::state::App;

/// How long a session lasts, in milliseconds.
const LIFETIME_MS: i64 = 12 * 60 * 60 * 1000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(link::redeem))
        .routes(routes!(delete::delete))
}

/// A session that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionView {
    /// The session.
    #[schema(value_type = String)]
    id: SessionId,
    /// Send it as `Authorization: Bearer <token>`. It is not shown again.
    token: String,
    /// Refused from this time on.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Starts a session of a person.
async fn start(app: &App, person: PersonId) -> Result<SessionView, Problem> {
    let (id, now) = (app.new_id(), app.clock.now());
    let expires_at = Timestamp::from_seconds(now.plus_millis(LIFETIME_MS).as_seconds());
    if !sign_in::start_session(&app.store, id, person, now, expires_at).await? {
        return Err(wrong());
    }
    let session = Session { session_id: id, expires_at };
    let token = app.sessions.sign(&session, now).map_err(|_| Problem::internal())?;
    Ok(SessionView { id, token: token.expose().to_owned(), expires_at })
}

/// 401: the same for an unknown address, a wrong password, a disabled person and a used link.
fn wrong() -> Problem {
    Problem::new(
        http::StatusCode::UNAUTHORIZED,
        "sign_in_failed",
        "E-mail address and password do not belong together, or the link was used or has expired.",
    )
}
