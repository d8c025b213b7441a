//! `PATCH /keys/{id}`, and the change of a key that every verb here makes.

use axum::extract::State;
use tidegate_store::{Stored, keys};
use tidegate_types::KeyId;
use tidegate_types::resource::{KeyStatus, Resource, VirtualKey};

use super::{KeySpec, KeyView};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::problem::Problem;
use crate::state::App;
use crate::tightens;
use crate::write::{Done, Halt, Write};

/// Changes a key: merge patch.
#[utoipa::path(patch, path = "/keys/{id}", tag = "keys", operation_id = "keys_update", request_body = KeySpec,
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The key as it is now", body = KeyView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<KeyId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<KeyView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = find(&mut write, id, &if_match).await?;
    let spec = patch.apply(&KeySpec::from(&stored.value))?;
    spec.check(app.clock.now(), spec.expires_at != stored.value.expires_at)?;
    let mut after = stored.value.clone();
    spec.put_into(&mut after);
    store(&mut write, &stored, &after).await?;
    let before = KeyView::from(&stored.value);
    write.updated("key.update", id.to_string(), &before, KeyView::from(&after), stored.version).await
}

/// The key, which is as the client knows it and not revoked.
pub(super) async fn find(
    write: &mut Write,
    id: KeyId,
    if_match: &IfMatch,
) -> Result<Stored<VirtualKey>, Halt> {
    let stored = keys::get(write, id).await?;
    if_match.check(stored.version)?;
    if stored.value.status == KeyStatus::Revoked {
        return Err(Problem::conflict("revoked", "A revoked key cannot be changed.").into());
    }
    Ok(stored)
}

/// Compiles and stores a new version of a key.
pub(super) async fn store(
    write: &mut Write,
    stored: &Stored<VirtualKey>,
    after: &VirtualKey,
) -> Result<(), Halt> {
    write.compile(&Resource::Key(after.clone())).await?;
    let tightens = tightens::key(&stored.value, after);
    Ok(keys::update(write, after, Some(stored.version), tightens).await?)
}
