//! Deliveries as the control plane brings them: claim, try, record.
//!
//! A claimed delivery is nobody else's until its claim runs out: two control planes do not bring the
//! same one at the same time, and what one that dies had claimed is brought by another.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_types::{OrganizationId, Timestamp};
use uuid::Uuid;

use super::{SealedKey, WebhookId};
use crate::Result;
use crate::connect::Store;
use crate::convert::{time, timestamp};
use crate::notices::NoticeId;

/// A delivery that is due, with all that it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Whose.
    pub organization_id: OrganizationId,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// What.
    pub notice_id: NoticeId,
    /// Its kind.
    pub kind: String,
    /// When it happened.
    pub at: Timestamp,
    /// What is told.
    pub data: Value,
    /// Where to.
    pub url: String,
    /// What signs.
    pub secret: SealedKey,
    /// What signs as well.
    pub old_secret: Option<SealedKey>,
    /// How often it was tried, this time included.
    pub attempts: u32,
}

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    webhook_id: Uuid,
    notice_id: Uuid,
    kind: String,
    at: DateTime<Utc>,
    data: Value,
    url: String,
    secret: Vec<u8>,
    secret_version: i32,
    data_key_version: i32,
    old_secret: Option<Vec<u8>>,
    old_data_key_version: Option<i32>,
    old_secret_until: Option<DateTime<Utc>>,
    attempts: i32,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// The receiver took it.
    Delivered {
        /// HTTP status.
        status: u16,
    },
    /// It is tried again.
    Again {
        /// HTTP status, when one came.
        status: Option<u16>,
        /// One word of a closed list.
        error: &'static str,
        /// When.
        next_at: Timestamp,
    },
    /// It is given up.
    Failed {
        /// HTTP status, when one came.
        status: Option<u16>,
        /// One word of a closed list.
        error: &'static str,
        /// The receiver wants nothing any more: the webhook is switched off.
        gone: bool,
    },
}

/// Claims at most `limit` deliveries that are due, until `until`.
///
/// # Errors
/// When the database is away.
pub async fn claim(store: &Store, now: Timestamp, until: Timestamp, limit: u16) -> Result<Vec<Due>> {
    let rows: Vec<Row> = sqlx::query_as(
        "WITH due AS (
             SELECT organization_id, webhook_id, notice_id FROM webhook_deliveries
             WHERE state = 'pending' AND next_at <= $1 ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED),
         claimed AS (
             UPDATE webhook_deliveries d SET next_at = $2, attempts = d.attempts + 1, last_at = $1
             FROM due WHERE d.organization_id = due.organization_id AND d.webhook_id = due.webhook_id
                 AND d.notice_id = due.notice_id
             RETURNING d.organization_id, d.webhook_id, d.notice_id, d.attempts)
         SELECT c.organization_id, c.webhook_id, c.notice_id, n.kind, n.at, n.data, w.url, w.secret, w.secret_version,
             w.data_key_version, w.old_secret, w.old_data_key_version, w.old_secret_until, c.attempts
         FROM claimed c JOIN notices n USING (organization_id, notice_id) JOIN webhooks w USING (organization_id, webhook_id)",
    )
    .bind(time(now))
    .bind(time(until))
    .bind(i64::from(limit))
    .fetch_all(store.feed())
    .await?;
    Ok(rows.into_iter().map(|row| due(row, now)).collect())
}

fn due(row: Row, now: Timestamp) -> Due {
    let secret_version = row.secret_version.unsigned_abs();
    let old = match (row.old_secret, row.old_data_key_version, row.old_secret_until) {
        (Some(bytes), Some(version), Some(until)) if timestamp(until) > now => Some(SealedKey {
            secret_version: secret_version.saturating_sub(1),
            data_key_version: version.unsigned_abs(),
            bytes,
        }),
        _ => None,
    };
    Due {
        organization_id: OrganizationId::from_uuid(row.organization_id),
        webhook_id: WebhookId::from_uuid(row.webhook_id),
        notice_id: NoticeId::from_uuid(row.notice_id),
        kind: row.kind,
        at: timestamp(row.at),
        data: row.data,
        url: row.url,
        secret: SealedKey {
            secret_version,
            data_key_version: row.data_key_version.unsigned_abs(),
            bytes: row.secret,
        },
        old_secret: old,
        attempts: row.attempts.unsigned_abs(),
    }
}

/// Records what came of a claimed delivery. One that was sent again meanwhile stays as it is.
///
/// # Errors
/// When the database is away: the claim runs out, and it is brought again.
pub async fn record(store: &Store, due: &Due, tried: Tried) -> Result<()> {
    let (state, status, error, next_at) = match tried {
        Tried::Delivered { status } => ("delivered", Some(status), None, None),
        Tried::Again { status, error, next_at } => ("pending", status, Some(error), Some(next_at)),
        Tried::Failed { status, error, .. } => ("failed", status, Some(error), None),
    };
    let mut tx = store.feed().begin().await?;
    let recorded = sqlx::query(
        "UPDATE webhook_deliveries SET state = $5, last_status = $6, last_error = $7, next_at = coalesce($8, next_at)
         WHERE organization_id = $1 AND webhook_id = $2 AND notice_id = $3 AND attempts = $4 AND state = 'pending'",
    )
    .bind(due.organization_id.to_uuid())
    .bind(due.webhook_id.to_uuid())
    .bind(due.notice_id.to_uuid())
    .bind(i32::try_from(due.attempts).unwrap_or(i32::MAX))
    .bind(state)
    .bind(status.map(i32::from))
    .bind(error)
    .bind(next_at.map(time))
    .execute(&mut *tx)
    .await?;
    if recorded.rows_affected() == 1 && matches!(tried, Tried::Failed { gone: true, .. }) {
        sqlx::query("UPDATE webhooks SET enabled = false, version = version + 1 WHERE organization_id = $1 AND webhook_id = $2")
            .bind(due.organization_id.to_uuid())
            .bind(due.webhook_id.to_uuid())
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Deletes notices from before `before` that are on their way to nobody any more. What a budget's
/// window was told of stays known (`budget_alerts`).
///
/// # Errors
/// When the database is away.
pub async fn sweep(store: &Store, before: Timestamp) -> Result<u64> {
    let deleted = sqlx::query(
        "DELETE FROM notices n WHERE n.at < $1 AND n.kind <> 'budget.exhausted' AND NOT EXISTS (
             SELECT FROM webhook_deliveries d WHERE d.organization_id = n.organization_id
                 AND d.notice_id = n.notice_id AND d.state = 'pending')",
    )
    .bind(time(before))
    .execute(store.feed())
    .await?;
    Ok(deleted.rows_affected())
}
