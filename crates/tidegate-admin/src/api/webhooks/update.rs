//! `PATCH /webhooks/{id}`

use axum::extract::State;
use tidegate_store::webhooks::{self, WebhookId};

use super::{WebhookSpec, WebhookView};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::write::{Done, Write};

/// Changes a webhook: merge patch. Its secret stays.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "webhooks", operation_id = "webhooks_update",
    request_body = WebhookSpec, params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The webhook as it is now", body = WebhookView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<WebhookView> {
    let mut write = Write::begin(&app, &caller).await?;
    let before = webhooks::get(&mut write, id).await?;
    if_match.check(before.version)?;
    let after = patch.apply(&WebhookSpec::from(&before.webhook))?.into_webhook(id)?;
    webhooks::update(&mut write, &after, before.version).await?;
    let now = webhooks::get(&mut write, id).await?;
    write
        .updated("webhook.update", id.to_string(), &(&before).into(), WebhookView::from(&now), before.version)
        .await
}
