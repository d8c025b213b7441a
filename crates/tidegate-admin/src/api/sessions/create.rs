//! `POST /sessions`

use axum::Json as JsonAnswer;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tidegate_store::persons;
use tidegate_types::Secret;
use utoipa::ToSchema;

use super::{SessionView, start, wrong};
use crate::body::Json;
use crate::checks::normal_email;
use crate::peer::{Peer, too_many};
use crate::problem::Problem;
use crate::state::App;

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// E-mail address.
    email: String,
    /// Password.
    #[schema(format = Password)]
    password: String,
}

/// Signs in with e-mail address and password.
#[utoipa::path(post, path = "/sessions", tag = "sessions", operation_id = "sessions_create", request_body = SignIn,
    responses((status = CREATED, description = "Signed in", body = SessionView)))]
pub(super) async fn create(
    State(app): State<App>,
    Peer(address): Peer,
    Json(asked): Json<SignIn>,
) -> Result<(StatusCode, JsonAnswer<SessionView>), Problem> {
    let email = normal_email(&asked.email);
    app.throttle.admit(&email, address, app.clock.now()).map_err(too_many)?;
    let found = persons::by_email(&app.store, &email).await?;
    let known = found.filter(|person| !person.disabled);
    let hash = known.as_ref().and_then(|person| person.password_hash.clone());
    let right = app.passwords.matches(Secret::new(asked.password), hash).await?;
    let person = known.filter(|_| right).ok_or_else(wrong)?;
    let session = start(&app, person.person_id).await?;
    app.throttle.succeeded(&email, address);
    Ok((StatusCode::CREATED, JsonAnswer(session)))
}
