//! `DELETE /credentials/{id}`

use axum::extract::State;
use tidegate_store::credentials;
use tidegate_types::CredentialId;

use super::{CredentialView, find};
use crate::actor::Caller;
use crate::body::Path;
use crate::capability::Action;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a credential and its secret.
#[utoipa::path(delete, path = "/credentials/{id}", tag = "credentials", operation_id = "credentials_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CredentialId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let (actor, _) = find(&app, &caller, id, Action::Write).await?;
    let mut write = Write::begin_as(&app, &caller, &actor, None).await?;
    let stored = credentials::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    credentials::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("credential.delete", id.to_string(), &CredentialView::from(&stored.value)).await
}
