//! `GET /webhooks/{id}`

use axum::extract::State;
use tidegate_store::webhooks::{self, WebhookId};

use super::WebhookView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a webhook, without its secret.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks", operation_id = "webhooks_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The webhook", body = WebhookView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<Found<WebhookView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = webhooks::get(&mut tx, id).await?;
    Ok(Found::of(WebhookView::from(&stored), stored.version))
}
