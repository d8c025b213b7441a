//! `POST /webhooks/{id}/redeliver`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tidegate_store::notices::NoticeId;
use tidegate_store::webhooks::{self, WebhookId};
use utoipa::ToSchema;

use super::test::Sent;
use crate::idempotency::PostedTo;
use crate::state::App;
use crate::write::{Done, Write, note};

/// What to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redeliver {
    /// The notice.
    #[schema(value_type = String)]
    notice_id: NoticeId,
}

/// Sends a notice again, whatever became of it: under its old `webhook-id`.
#[utoipa::path(post, path = "/webhooks/{id}/redeliver", tag = "webhooks", operation_id = "webhooks_redeliver",
    request_body = Redeliver, params(("id" = String, Path, description = "Its id")),
    responses((status = ACCEPTED, description = "It is on its way", body = Sent)))]
pub(super) async fn redeliver(
    State(app): State<App>,
    PostedTo { id, posted }: PostedTo<WebhookId, Redeliver>,
) -> Done<Sent> {
    let notice_id = posted.body.notice_id;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    webhooks::redeliver(&mut write, id, notice_id).await?;
    let note = note("webhook.redeliver", id.to_string(), None, Some(&notice_id))?;
    write.finish(note, Sent { notice_id }, StatusCode::ACCEPTED, None).await
}
