//! `GET /credentials/{id}`

use axum::extract::State;
use tidegate_store::{failures, uses};
use tidegate_types::CredentialId;

use super::{CredentialView, find};
use crate::actor::Caller;
use crate::body::Path;
use crate::capability::Action;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a credential, without its secret.
#[utoipa::path(get, path = "/credentials/{id}", tag = "credentials", operation_id = "credentials_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The credential", body = CredentialView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CredentialId>,
) -> Result<Found<CredentialView>, Problem> {
    let (actor, stored) = find(&app, &caller, id, Action::Read).await?;
    let mut tx = app.store.begin(&actor).await?;
    let failure = failures::of(&mut tx, &[id]).await?.remove(&id);
    let used = uses::of(&mut tx, &[id]).await?.remove(&id);
    let view = CredentialView::from(&stored.value).with_failure(failure).used_at(used);
    Ok(Found::of(view, stored.version))
}
