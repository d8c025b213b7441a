//! `DELETE /sessions/current`

use axum::extract::State;
use http::StatusCode;
use tidegate_store::sign_in;

use crate::actor::Caller;
use crate::problem::Problem;
use crate::state::App;

/// Signs out: the session's token stops working at once.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions", operation_id = "sessions_delete",
    responses((status = NO_CONTENT, description = "Signed out")))]
pub(super) async fn delete(State(app): State<App>, caller: Caller) -> Result<StatusCode, Problem> {
    let session = caller.session().ok_or_else(|| {
        Problem::unprocessable(
            "not_a_session",
            "This is a service token; revoke it by DELETE /service-tokens/{id}.",
        )
    })?;
    sign_in::end_session(&app.store, session, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
