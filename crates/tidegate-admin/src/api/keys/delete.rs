//! `DELETE /keys/{id}`

use axum::extract::State;
use tidegate_store::keys;
use tidegate_types::KeyId;
use tidegate_types::resource::{KeyStatus, VirtualKey};

use super::KeyView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Revokes a key: its calls are refused for ever. It stays visible.
#[utoipa::path(delete, path = "/keys/{id}", tag = "keys", operation_id = "keys_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Revoked"), (status = OK, description = "Revoked, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<KeyId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = keys::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    // Not compiled: taking away must never fail because something else is wrong with the key.
    let after = VirtualKey { status: KeyStatus::Revoked, ..stored.value.clone() };
    keys::update(&mut write, &after, Some(stored.version), true).await?;
    write.removed("key.revoke", id.to_string(), &KeyView::from(&stored.value)).await
}
