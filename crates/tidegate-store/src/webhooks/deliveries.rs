//! Deliveries as their organization sees them: what was brought, what is tried again, what failed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_types::Timestamp;
use uuid::Uuid;

use super::WebhookId;
use crate::change::Change;
use crate::convert::{from_name, time, timestamp};
use crate::document::one_more;
use crate::notices::NoticeId;
use crate::tenant::TenantTx;
use crate::{Page, Result, StoreError};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, or will be.
    Pending,
    /// The receiver took it.
    Delivered,
    /// Given up.
    Failed,
}

/// One notice to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The notice; sent as `webhook-id`.
    pub notice_id: NoticeId,
    /// What kind of thing happened.
    pub kind: String,
    /// When it happened.
    pub at: Timestamp,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; for pending ones.
    pub next_at: Timestamp,
    /// When it was tried last.
    pub last_at: Option<Timestamp>,
    /// HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    notice_id: Uuid,
    kind: String,
    at: DateTime<Utc>,
    state: String,
    attempts: i32,
    next_at: DateTime<Utc>,
    last_at: Option<DateTime<Utc>>,
    last_status: Option<i32>,
    last_error: Option<String>,
}

/// A page of a webhook's deliveries before `before`, newest first.
///
/// # Errors
/// When the database is away.
pub async fn deliveries(
    tx: &mut TenantTx,
    id: WebhookId,
    before: Option<NoticeId>,
    limit: u32,
) -> Result<Page<Delivery>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT d.notice_id, n.kind, n.at, d.state, d.attempts, d.next_at, d.last_at, d.last_status, d.last_error
         FROM webhook_deliveries d JOIN notices n USING (organization_id, notice_id)
         WHERE d.organization_id = $1 AND d.webhook_id = $2 AND ($3::uuid IS NULL OR d.notice_id < $3)
         ORDER BY d.notice_id DESC LIMIT $4",
    )
    .bind(tx.organization())
    .bind(id.to_uuid())
    .bind(before.map(NoticeId::to_uuid))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let delivery = |row: Row| {
        Ok(Delivery {
            notice_id: NoticeId::from_uuid(row.notice_id),
            kind: row.kind,
            at: timestamp(row.at),
            state: from_name(&row.state)?,
            attempts: row.attempts.unsigned_abs(),
            next_at: timestamp(row.next_at),
            last_at: row.last_at.map(timestamp),
            last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
            last_error: row.last_error,
        })
    };
    let rows: Result<Vec<Delivery>> = rows.into_iter().map(delivery).collect();
    Ok(Page::of(rows?, limit))
}

/// Sends a stored notice to one webhook, whatever kinds it wants: the test button.
///
/// # Errors
/// [`StoreError::Dangling`] when either does not exist.
pub async fn deliver_one(change: &mut Change, id: WebhookId, notice: NoticeId) -> Result<()> {
    let (organization, now) = (change.organization(), time(change.now()));
    sqlx::query(
        "INSERT INTO webhook_deliveries (organization_id, webhook_id, notice_id, state, attempts, next_at)
         VALUES ($1, $2, $3, 'pending', 0, $4) ON CONFLICT DO NOTHING",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(notice.to_uuid())
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Sends a notice again, at once, whatever became of it. The receiver knows it by its id.
///
/// # Errors
/// [`StoreError::NotFound`] when it never went to this webhook.
pub async fn redeliver(change: &mut Change, id: WebhookId, notice: NoticeId) -> Result<()> {
    let (organization, now) = (change.organization(), time(change.now()));
    let updated = sqlx::query(
        "UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_at = $4
         WHERE organization_id = $1 AND webhook_id = $2 AND notice_id = $3",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(notice.to_uuid())
    .bind(now)
    .execute(change.connection())
    .await?;
    if updated.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound) }
}
