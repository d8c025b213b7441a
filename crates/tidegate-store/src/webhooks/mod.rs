//! Webhooks: where an organization wants to be told. Their secrets are kept encrypted.

mod deliver;
mod deliveries;

use chrono::{DateTime, Utc};
use tidegate_types::Timestamp;
use tidegate_types::id::{Id, IdKind};
use uuid::Uuid;

use crate::change::Change;
use crate::convert::{from_name, name_of, signed32, time, timestamp};
use crate::document::{one_more, seen};
use crate::notices::NoticeKind;
use crate::tenant::TenantTx;
use crate::{Page, Result, StoreError};

pub use deliver::{Due, Tried, claim, record, sweep};
pub use deliveries::{Delivery, DeliveryState, deliver_one, deliveries, redeliver};

/// Marker of webhook ids.
#[derive(Debug, Clone, Copy)]
pub struct WebhookMarker;

impl IdKind for WebhookMarker {
    const PREFIX: &'static str = "hook";
}

/// A webhook's id, `hook_…`.
pub type WebhookId = Id<WebhookMarker>;

/// A webhook's secret as it is kept: this crate cannot open it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// Counts the webhook's secrets from 1.
    pub secret_version: u32,
    /// The organization's data key under which it is encrypted.
    pub data_key_version: u32,
    /// The encrypted bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedKey").field("secret_version", &self.secret_version).finish_non_exhaustive()
    }
}

/// What may be said about a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Identity.
    pub id: WebhookId,
    /// Name for people, unique in the organization.
    pub name: String,
    /// Where notices are posted.
    pub url: String,
    /// Which kinds; empty: every kind.
    pub kinds: Vec<NoticeKind>,
    /// Whether notices go there.
    pub enabled: bool,
}

/// A stored webhook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// Counts its secrets from 1.
    pub secret_version: u32,
    /// The secret before signs as well until then.
    pub old_secret_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its versions (ETag).
    pub version: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    webhook_id: Uuid,
    name: String,
    url: String,
    kinds: Vec<String>,
    enabled: bool,
    secret_version: i32,
    old_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    version: i64,
}

fn stored(row: Row) -> Result<StoredWebhook> {
    let kinds: Result<Vec<NoticeKind>> = row.kinds.iter().map(|kind| from_name(kind)).collect();
    Ok(StoredWebhook {
        webhook: Webhook {
            id: WebhookId::from_uuid(row.webhook_id),
            name: row.name,
            url: row.url,
            kinds: kinds?,
            enabled: row.enabled,
        },
        secret_version: row.secret_version.unsigned_abs(),
        old_secret_until: row.old_secret_until.map(timestamp),
        created_at: timestamp(row.created_at),
        version: row.version,
    })
}

/// The webhook with this id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(tx: &mut TenantTx, id: WebhookId) -> Result<StoredWebhook> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT webhook_id, name, url, kinds, enabled, secret_version, old_secret_until, created_at, version
         FROM webhooks WHERE organization_id = $1 AND webhook_id = $2",
    )
    .bind(tx.organization())
    .bind(id.to_uuid())
    .fetch_optional(tx.connection())
    .await?;
    stored(row.ok_or(StoreError::NotFound)?)
}

/// A page of webhooks after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<WebhookId>, limit: u32) -> Result<Page<StoredWebhook>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT webhook_id, name, url, kinds, enabled, secret_version, old_secret_until, created_at, version
         FROM webhooks WHERE organization_id = $1 AND webhook_id > $2 ORDER BY webhook_id LIMIT $3",
    )
    .bind(tx.organization())
    .bind(after.map_or(Uuid::nil(), WebhookId::to_uuid))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let webhooks: Result<Vec<_>> = rows.into_iter().map(stored).collect();
    Ok(Page::of(webhooks?, limit))
}

fn names(kinds: &[NoticeKind]) -> Result<Vec<String>> {
    kinds.iter().map(name_of).collect()
}

/// Adds a webhook.
///
/// # Errors
/// [`StoreError::Taken`] for a name in use.
pub async fn insert(change: &mut Change, webhook: &Webhook, secret: &SealedKey) -> Result<()> {
    let (organization, now) = (change.organization(), time(change.now()));
    sqlx::query(
        "INSERT INTO webhooks (organization_id, webhook_id, name, url, kinds, enabled, secret, secret_version,
             data_key_version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
    )
    .bind(organization)
    .bind(webhook.id.to_uuid())
    .bind(&webhook.name)
    .bind(&webhook.url)
    .bind(names(&webhook.kinds)?)
    .bind(webhook.enabled)
    .bind(&secret.bytes)
    .bind(signed32(secret.secret_version))
    .bind(signed32(secret.data_key_version))
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version of what may be said about a webhook.
///
/// # Errors
/// [`StoreError::VersionConflict`], [`StoreError::Taken`].
pub async fn update(change: &mut Change, webhook: &Webhook, version: i64) -> Result<()> {
    let (organization, now) = (change.organization(), time(change.now()));
    let updated = sqlx::query(
        "UPDATE webhooks SET name = $4, url = $5, kinds = $6, enabled = $7, updated_at = $8, version = version + 1
         WHERE organization_id = $1 AND webhook_id = $2 AND version = $3",
    )
    .bind(organization)
    .bind(webhook.id.to_uuid())
    .bind(version)
    .bind(&webhook.name)
    .bind(&webhook.url)
    .bind(names(&webhook.kinds)?)
    .bind(webhook.enabled)
    .bind(now)
    .execute(change.connection())
    .await?;
    seen(updated.rows_affected(), version)
}

/// Gives a webhook a new secret; the one before signs as well until `old_until`.
///
/// # Errors
/// [`StoreError::VersionConflict`].
pub async fn rotate(
    change: &mut Change,
    id: WebhookId,
    version: i64,
    secret: &SealedKey,
    old_until: Timestamp,
) -> Result<()> {
    let (organization, now) = (change.organization(), time(change.now()));
    let updated = sqlx::query(
        "UPDATE webhooks SET old_secret = secret, old_data_key_version = data_key_version, old_secret_until = $7,
             secret = $4, secret_version = $5, data_key_version = $6, updated_at = $8, version = version + 1
         WHERE organization_id = $1 AND webhook_id = $2 AND version = $3",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(version)
    .bind(&secret.bytes)
    .bind(signed32(secret.secret_version))
    .bind(signed32(secret.data_key_version))
    .bind(time(old_until))
    .bind(now)
    .execute(change.connection())
    .await?;
    seen(updated.rows_affected(), version)
}

/// Removes a webhook; what was on its way there is dropped.
///
/// # Errors
/// [`StoreError::VersionConflict`].
pub async fn delete(change: &mut Change, id: WebhookId, version: i64) -> Result<()> {
    let organization = change.organization();
    let deleted =
        sqlx::query("DELETE FROM webhooks WHERE organization_id = $1 AND webhook_id = $2 AND version = $3")
            .bind(organization)
            .bind(id.to_uuid())
            .bind(version)
            .execute(change.connection())
            .await?;
    seen(deleted.rows_affected(), version)
}
