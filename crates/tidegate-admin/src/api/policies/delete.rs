//! `DELETE /policies/{id}`

use axum::extract::State;
use tidegate_store::policies;
use tidegate_types::PolicyId;

use super::PolicyView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a policy.
#[utoipa::path(delete, path = "/policies/{id}", tag = "policies", operation_id = "policies_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PolicyId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = policies::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    policies::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("policy.delete", id.to_string(), &PolicyView::from(&stored.value)).await
}
