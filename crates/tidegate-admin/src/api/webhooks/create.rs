//! `POST /webhooks`

use axum::extract::State;
use tidegate_store::webhooks;

use super::{IssuedWebhook, WebhookSpec, WebhookView, secret};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Adds a webhook. Its secret is shown by this answer only.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", operation_id = "webhooks_create", request_body = WebhookSpec,
    responses((status = CREATED, description = "The webhook with its secret", body = IssuedWebhook)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<WebhookSpec>) -> Done<IssuedWebhook> {
    let id = app.new_id();
    let webhook = posted.body.into_webhook(id)?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let (secret, sealed) = secret::make(&app, &mut write, id, 1).await?;
    webhooks::insert(&mut write, &webhook, &sealed).await?;
    let view = WebhookView::from(&webhooks::get(&mut write, id).await?);
    let audited = view.clone();
    let shown = IssuedWebhook { secret: secret.expose().to_owned(), view };
    write.issued("webhook.create", id.to_string(), &audited, shown).await
}
