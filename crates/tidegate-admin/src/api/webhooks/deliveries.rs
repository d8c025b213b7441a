//! `GET /webhooks/{id}/deliveries`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidegate_store::notices::NoticeId;
use tidegate_store::webhooks::{self, Delivery, DeliveryState, WebhookId};
use tidegate_types::Timestamp;
use utoipa::ToSchema;

use crate::actor::Caller;
use crate::body::{Path, Query};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// One notice to one webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryView {
    /// The notice; sent as `webhook-id`.
    #[schema(value_type = String)]
    notice_id: NoticeId,
    /// What kind of thing happened.
    kind: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `pending`, `delivered` or `failed` (given up).
    #[schema(value_type = String)]
    state: DeliveryState,
    /// How often it was tried.
    attempts: u32,
    /// When it is tried next.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// When it was tried last.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// HTTP status of the last answer.
    last_status: Option<u16>,
    /// Why the last attempt failed: `status`, `redirect`, `gone`, `timeout`, `forbidden_address`, `dns`,
    /// `connect`, `tls`, `broken`, `garbled`, `url` or `secret`.
    last_error: Option<String>,
}

impl From<&Delivery> for DeliveryView {
    fn from(delivery: &Delivery) -> Self {
        Self {
            notice_id: delivery.notice_id,
            kind: delivery.kind.clone(),
            at: delivery.at,
            state: delivery.state,
            attempts: delivery.attempts,
            next_at: (delivery.state == DeliveryState::Pending).then_some(delivery.next_at),
            last_at: delivery.last_at,
            last_status: delivery.last_status,
            last_error: delivery.last_error.clone(),
        }
    }
}

/// Lists what went to a webhook, newest first.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "webhooks_deliveries",
    params(PageQuery, ("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "A page of deliveries", body = Page<DeliveryView>)))]
pub(super) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    webhooks::get(&mut tx, id).await?;
    let rows = webhooks::deliveries(&mut tx, id, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |row| row.notice_id, DeliveryView::from)))
}
