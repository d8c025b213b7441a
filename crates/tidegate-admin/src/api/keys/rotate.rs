//! `POST /keys/{id}/rotate`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tidegate_secrets::virtual_key;
use tidegate_telemetry::entropy;
use tidegate_types::KeyId;
use utoipa::ToSchema;

use super::update::{find, store};
use super::{IssuedKey, KeyView};
use crate::checks::Checks;
use crate::etag::IfMatch;
use crate::idempotency::PostedTo;
use crate::state::App;
use crate::write::{Done, Write, note};

/// How the old text ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// How long the old text goes on working, in seconds: 0 to 2592000 (30 days).
    #[serde(default = "one_day")]
    #[schema(default = 86400)]
    grace_seconds: u32,
}

const fn one_day() -> u32 {
    86_400
}

/// Gives a key a new text under the same id. The new text is shown by this answer only; the old
/// one works until its time of grace is over.
#[utoipa::path(post, path = "/keys/{id}/rotate", tag = "keys", operation_id = "keys_rotate",
    params(("id" = String, Path, description = "Its id")), request_body = Option<Rotation>,
    responses((status = OK, description = "The key with its new text", body = IssuedKey)))]
pub(super) async fn rotate(
    State(app): State<App>,
    if_match: IfMatch,
    PostedTo { id, posted }: PostedTo<KeyId, Rotation>,
) -> Done<IssuedKey> {
    let grace = posted.body.grace_seconds;
    Checks::default().that(grace <= 2_592_000, "grace_seconds", "must be 0 to 2592000").done()?;
    let peppers = app.vault.peppers(&app.store).await?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let stored = find(&mut write, id, &if_match).await?;
    let mut random = [0; 32];
    entropy::fill(&mut random);
    let (text, secret) = virtual_key::issue(id, random, &peppers);
    let mut after = stored.value.clone();
    let old = after.secrets.first().cloned().filter(|_| grace > 0);
    after.secrets = vec![secret];
    if let Some(mut old) = old {
        old.until = Some(app.clock.now().plus_millis(i64::from(grace) * 1000));
        after.secrets.push(old);
    }
    store(&mut write, &stored, &after).await?;
    let (before, view) = (KeyView::from(&stored.value), KeyView::from(&after));
    let note = note("key.rotate", id.to_string(), Some(&before), Some(&view))?;
    let shown = IssuedKey { key: text.expose().to_owned(), view };
    write.finish(note, shown, StatusCode::OK, Some(stored.version + 1)).await
}
