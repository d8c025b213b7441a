//! `POST /keys/{id}/pause`

use axum::extract::State;
use http::StatusCode;
use tidegate_types::KeyId;
use tidegate_types::resource::{KeyStatus, VirtualKey};

use super::update::{find, store};
use super::{KeyView, Nothing};
use crate::etag::IfMatch;
use crate::idempotency::PostedTo;
use crate::state::App;
use crate::write::{Done, Write, note};

/// Pauses a key: its calls are refused until it is resumed.
#[utoipa::path(post, path = "/keys/{id}/pause", tag = "keys", operation_id = "keys_pause",
    params(("id" = String, Path, description = "Its id")), request_body = Option<Nothing>,
    responses((status = OK, description = "The key as it is now", body = KeyView)))]
pub(super) async fn pause(
    State(app): State<App>,
    if_match: IfMatch,
    PostedTo { id, posted }: PostedTo<KeyId, Nothing>,
) -> Done<KeyView> {
    let Nothing {} = posted.body;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let stored = find(&mut write, id, &if_match).await?;
    let after = VirtualKey { status: KeyStatus::Paused, ..stored.value.clone() };
    store(&mut write, &stored, &after).await?;
    let (before, after) = (KeyView::from(&stored.value), KeyView::from(&after));
    let note = note("key.pause", id.to_string(), Some(&before), Some(&after))?;
    write.finish(note, after, StatusCode::OK, Some(stored.version + 1)).await
}
