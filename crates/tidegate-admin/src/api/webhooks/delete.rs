//! `DELETE /webhooks/{id}`

use axum::extract::State;
use tidegate_store::webhooks::{self, WebhookId};

use super::WebhookView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a webhook; what was on its way there is dropped.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", operation_id = "webhooks_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = webhooks::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    webhooks::delete(&mut write, id, stored.version).await?;
    write.removed("webhook.delete", id.to_string(), &WebhookView::from(&stored)).await
}
