//! Notices: what organizations asked to be told of, noted in the transaction in which it happens.
//!
//! Kind and subject make a notice one: however often it is raised, it is there once, under the same
//! id. Whom it goes to is decided at that moment; who brings it there is not this crate's matter.

mod budgets;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use tidegate_types::id::{Id, IdKind};
use tidegate_types::{OrganizationId, Timestamp};
use uuid::Uuid;

use crate::change::Change;
use crate::connect::Store;
use crate::convert::{name_of, time, timestamp};
use crate::document::one_more;
use crate::tenant::TenantTx;
use crate::{Page, Result};

pub(crate) use budgets::{Window, after_change, exhausted, thresholds};

/// Marker of notice ids.
#[derive(Debug, Clone, Copy)]
pub struct NoticeMarker;

impl IdKind for NoticeMarker {
    const PREFIX: &'static str = "msg";
}

/// A notice's id, `msg_…`: the same however often it is delivered.
pub type NoticeId = Id<NoticeMarker>;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NoticeKind {
    /// A budget's window has used a percentage of its limit for which an alert was asked.
    #[serde(rename = "budget.threshold")]
    BudgetThreshold,
    /// A call was refused because of a budget; the first one of its window.
    #[serde(rename = "budget.exhausted")]
    BudgetExhausted,
    /// A provider does not accept a credential.
    #[serde(rename = "credential.failing")]
    CredentialFailing,
    /// A provider's bill says something else than the books.
    #[serde(rename = "reconciliation.difference")]
    ReconciliationDifference,
    /// Somebody pressed the test button of a webhook.
    #[serde(rename = "webhook.test")]
    WebhookTest,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::BudgetThreshold,
        Self::BudgetExhausted,
        Self::CredentialFailing,
        Self::ReconciliationDifference,
        Self::WebhookTest,
    ];
}

/// Something that happened. `data` holds no content, no secret, and amounts as decimal text.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Whom it concerns.
    pub organization_id: OrganizationId,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// What exactly: with the kind, once for ever.
    pub subject: String,
    /// What the receiver is told.
    pub data: Value,
}

impl Notice {
    /// The id: made of what it is about, so that two who raise it raise the same. `at` gives the
    /// order; the id that was stored first stays.
    fn id(&self, kind: &str, at: Timestamp) -> NoticeId {
        let mut hash = Sha256::new();
        hash.update(self.organization_id.to_u128().to_be_bytes());
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(self.subject.as_bytes());
        let random = hash.finalize().iter().take(16).fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
        NoticeId::from_parts(u64::try_from(at.as_millis()).unwrap_or(0), random)
    }
}

/// A stored notice.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredNotice {
    /// Identity.
    pub id: NoticeId,
    /// What kind of thing, in the words of [`NoticeKind`].
    pub kind: String,
    /// When it happened.
    pub at: Timestamp,
    /// What the receiver is told.
    pub data: Value,
}

/// A page of the bound organization's notices after `after`, oldest first.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<NoticeId>, limit: u32) -> Result<Page<StoredNotice>> {
    let rows: Vec<(Uuid, String, DateTime<Utc>, Value)> = sqlx::query_as(
        "SELECT notice_id, kind, at, data FROM notices WHERE organization_id = $1 AND notice_id > $2
         ORDER BY notice_id LIMIT $3",
    )
    .bind(tx.organization())
    .bind(after.map_or(Uuid::nil(), NoticeId::to_uuid))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let notices = rows.into_iter().map(|(id, kind, at, data)| StoredNotice {
        id: NoticeId::from_uuid(id),
        kind,
        at: timestamp(at),
        data,
    });
    Ok(Page::of(notices.collect(), limit))
}

/// Raises notices of the bound organization in a change. Returns how many are new.
///
/// # Errors
/// When the database is away.
pub async fn raise_in(change: &mut Change, notices: Vec<Notice>) -> Result<usize> {
    let now = change.now();
    raise(change.connection(), notices, now).await
}

/// Raises one notice of the bound organization in a change; its id when it is new.
///
/// # Errors
/// When the database is away.
pub async fn raise_one(change: &mut Change, notice: Notice) -> Result<Option<NoticeId>> {
    let id = notice.id(&name_of(&notice.kind)?, change.now());
    Ok((raise_in(change, vec![notice]).await? == 1).then_some(id))
}

/// Raises notices of any organizations by themselves. Returns how many are new.
///
/// # Errors
/// When the database is away.
pub async fn raise_now(store: &Store, notices: Vec<Notice>, now: Timestamp) -> Result<usize> {
    let mut tx = store.feed().begin().await?;
    let raised = raise(&mut tx, notices, now).await?;
    tx.commit().await?;
    Ok(raised)
}

/// Raises notices: those that are new are noted and go to every enabled webhook that wants them.
pub(crate) async fn raise(
    connection: &mut PgConnection,
    mut notices: Vec<Notice>,
    now: Timestamp,
) -> Result<usize> {
    if notices.is_empty() {
        return Ok(0);
    }
    // Two that raise the same ones wait for one another in one order.
    notices.sort_by(|a, b| (a.organization_id, &a.subject).cmp(&(b.organization_id, &b.subject)));
    let kinds: Vec<String> = notices.iter().map(|notice| name_of(&notice.kind)).collect::<Result<_>>()?;
    let organizations: Vec<Uuid> = notices.iter().map(|notice| notice.organization_id.to_uuid()).collect();
    let ids: Vec<Uuid> =
        notices.iter().zip(&kinds).map(|(notice, kind)| notice.id(kind, now).to_uuid()).collect();
    let subjects: Vec<&str> = notices.iter().map(|notice| notice.subject.as_str()).collect();
    let data: Vec<&Value> = notices.iter().map(|notice| &notice.data).collect();
    let raised: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
        "INSERT INTO notices (organization_id, notice_id, kind, subject, at, data)
         SELECT n.organization_id, n.notice_id, n.kind, n.subject, $6, n.data
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[])
             AS n (organization_id, notice_id, kind, subject, data)
         ON CONFLICT DO NOTHING RETURNING organization_id, notice_id, kind",
    )
    .bind(&organizations)
    .bind(&ids)
    .bind(&kinds)
    .bind(&subjects)
    .bind(&data)
    .bind(time(now))
    .fetch_all(&mut *connection)
    .await?;
    let (organizations, rest): (Vec<Uuid>, Vec<(Uuid, String)>) =
        raised.iter().map(|(organization, id, kind)| (*organization, (*id, kind.clone()))).unzip();
    let (ids, kinds): (Vec<Uuid>, Vec<String>) = rest.into_iter().unzip();
    sqlx::query(
        "INSERT INTO webhook_deliveries (organization_id, webhook_id, notice_id, state, attempts, next_at)
         SELECT w.organization_id, w.webhook_id, n.notice_id, 'pending', 0, $4
         FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS n (organization_id, notice_id, kind)
         JOIN webhooks w ON w.organization_id = n.organization_id
         WHERE w.enabled AND (w.kinds = '{}' OR n.kind = ANY(w.kinds)) AND n.kind <> 'webhook.test'
         ON CONFLICT DO NOTHING",
    )
    .bind(&organizations)
    .bind(&ids)
    .bind(&kinds)
    .bind(time(now))
    .execute(connection)
    .await?;
    Ok(raised.len())
}
