//! `POST /webhooks/{id}/test`

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_store::notices::{self, Notice, NoticeId, NoticeKind};
use tidegate_store::webhooks::{self, WebhookId};
use utoipa::ToSchema;

use crate::idempotency::PostedTo;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write, note};

/// Nothing needs to be said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhookTest {}

/// A notice that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sent {
    /// The notice: find it among the webhook's deliveries, and at the receiver as `webhook-id`.
    #[schema(value_type = String)]
    pub(super) notice_id: NoticeId,
}

/// Sends a test notice to this webhook, also while it is switched off. Its deliveries show what came
/// of it.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks", operation_id = "webhooks_test",
    request_body = WebhookTest, params(("id" = String, Path, description = "Its id")),
    responses((status = ACCEPTED, description = "It is on its way", body = Sent)))]
pub(super) async fn test(
    State(app): State<App>,
    PostedTo { id, posted }: PostedTo<WebhookId, WebhookTest>,
) -> Done<Sent> {
    let WebhookTest {} = posted.body;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    webhooks::get(&mut write, id).await?;
    let unique: NoticeId = app.new_id();
    let notice = Notice {
        organization_id: write.organization(),
        kind: NoticeKind::WebhookTest,
        subject: unique.to_string(),
        data: json!({"organization_id": write.organization(), "webhook_id": id}),
    };
    let notice_id = notices::raise_one(&mut write, notice).await?.ok_or_else(Problem::internal)?;
    webhooks::deliver_one(&mut write, id, notice_id).await?;
    let note = note("webhook.test", id.to_string(), None::<&()>, None)?;
    write.finish(note, Sent { notice_id }, StatusCode::ACCEPTED, None).await
}
