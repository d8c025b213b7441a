//! `POST /webhooks/{id}/rotate`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tidegate_store::webhooks::{self, WebhookId};
use utoipa::ToSchema;

use super::{IssuedWebhook, WebhookView, secret};
use crate::checks::Checks;
use crate::idempotency::PostedTo;
use crate::state::App;
use crate::write::{Done, Write, note};

const DAY: u32 = 86_400;

/// How to rotate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhookRotate {
    /// How long the old secret signs as well, at most a week.
    #[schema(default = 86400)]
    grace_seconds: u32,
}

impl Default for WebhookRotate {
    fn default() -> Self {
        Self { grace_seconds: DAY }
    }
}

/// Gives a webhook a new secret. For a while deliveries carry both signatures.
#[utoipa::path(post, path = "/webhooks/{id}/rotate", tag = "webhooks", operation_id = "webhooks_rotate",
    request_body = WebhookRotate, params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The webhook with its new secret", body = IssuedWebhook)))]
pub(super) async fn rotate(
    State(app): State<App>,
    PostedTo { id, posted }: PostedTo<WebhookId, WebhookRotate>,
) -> Done<IssuedWebhook> {
    let grace = posted.body.grace_seconds;
    Checks::default().that(grace <= 7 * DAY, "grace_seconds", "must be at most a week").done()?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let before = webhooks::get(&mut write, id).await?;
    let (secret, sealed) = secret::make(&app, &mut write, id, before.secret_version + 1).await?;
    let until = app.clock.now().plus_millis(i64::from(grace) * 1000);
    webhooks::rotate(&mut write, id, before.version, &sealed, until).await?;
    let view = WebhookView::from(&webhooks::get(&mut write, id).await?);
    let note = note("webhook.rotate", id.to_string(), Some(&WebhookView::from(&before)), Some(&view))?;
    let shown = IssuedWebhook { secret: secret.expose().to_owned(), view };
    write.finish(note, shown, StatusCode::OK, Some(before.version + 1)).await
}
