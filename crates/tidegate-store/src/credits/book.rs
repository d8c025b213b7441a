//! Entries of credit, each with its balanced batch in the ledger.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidegate_types::id::{Id, IdKind};
use tidegate_types::{NanoUsd, Timestamp};
use uuid::Uuid;

use crate::change::Change;
use crate::convert::{from_name, name_of, time, timestamp, uuid_of};
use crate::document::one_more;
use crate::tenant::TenantTx;
use crate::{Page, Result, StoreError};

/// Marker of entry ids.
#[derive(Debug, Clone, Copy)]
pub struct EntryMarker;

impl IdKind for EntryMarker {
    const PREFIX: &'static str = "centry";
}

/// An entry's id, `centry_…`.
pub type EntryId = Id<EntryMarker>;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Paid in.
    TopUp,
    /// A correction of another entry.
    Adjustment,
    /// Given for a period.
    Allowance,
    /// What was not used of a period's allowance; below zero. Above zero: too much had lapsed.
    Expiry,
}

/// An entry to be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry<'a> {
    /// What it is.
    pub kind: EntryKind,
    /// Put in; below zero: taken back.
    pub amount: NanoUsd,
    /// The payer's name for it.
    pub reference: &'a str,
    /// Why, for people.
    pub note: &'a str,
    /// The entry that it corrects.
    pub corrects: Option<EntryId>,
}

/// A booked entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Identity.
    pub id: EntryId,
    /// What it is.
    pub kind: EntryKind,
    /// Put in; below zero: taken back.
    pub amount: NanoUsd,
    /// When.
    pub at: Timestamp,
    /// The payer's name for it.
    pub reference: String,
    /// Why, for people.
    pub note: String,
    /// The entry that it corrects.
    pub corrects: Option<EntryId>,
    /// Who booked it.
    pub actor: String,
}

/// Books an entry and its batch.
pub(super) async fn book(change: &mut Change, entry: &NewEntry<'_>) -> Result<EntryId> {
    let (organization, now, who) = (change.organization(), time(change.now()), change.who().to_string());
    let kind = name_of(&entry.kind)?;
    let id = entry_id(change.organization(), &kind, entry.reference, change.now());
    let source = match entry.kind {
        EntryKind::TopUp | EntryKind::Adjustment => "payments",
        EntryKind::Allowance | EntryKind::Expiry => "allowances",
    };
    let amount = entry.amount.get();
    let (batch,): (i64,) = sqlx::query_as(
        "INSERT INTO ledger_batches (organization_id, node_id, recorded_at, kind, corrects)
         VALUES ($1, $2, $3, 'credit', (SELECT batch_id FROM credit_entries WHERE organization_id = $1 AND entry_id = $4))
         RETURNING batch_id",
    )
    .bind(organization)
    .bind(Uuid::nil())
    .bind(now)
    .bind(uuid_of(entry.corrects))
    .fetch_one(change.connection())
    .await?;
    sqlx::query(
        "INSERT INTO ledger_postings (organization_id, batch_id, account, provider_id, nano_usd)
         VALUES ($1, $2, $3, $5, $4), ($1, $2, 'credit', $5, -$4)",
    )
    .bind(organization)
    .bind(batch)
    .bind(source)
    .bind(amount)
    .bind(Uuid::nil())
    .execute(change.connection())
    .await?;
    sqlx::query(
        "INSERT INTO credit_entries (organization_id, entry_id, kind, amount, at, reference, note, corrects, actor, batch_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(kind)
    .bind(amount)
    .bind(now)
    .bind(entry.reference)
    .bind(entry.note)
    .bind(uuid_of(entry.corrects))
    .bind(who)
    .bind(batch)
    .execute(change.connection())
    .await?;
    Ok(id)
}

/// Made of what it is: two who book the same thing book the same entry.
fn entry_id(organization: Uuid, kind: &str, reference: &str, now: Timestamp) -> EntryId {
    let mut hash = Sha256::new();
    hash.update(organization.as_bytes());
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(reference.as_bytes());
    let random = hash.finalize().iter().take(16).fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
    EntryId::from_parts(u64::try_from(now.as_millis()).unwrap_or(0), random)
}

type Row = (Uuid, String, i64, DateTime<Utc>, String, String, Option<Uuid>, String);

/// A page of the bound organization's entries after `after`, oldest first.
///
/// # Errors
/// When the database is away.
pub async fn entries(tx: &mut TenantTx, after: Option<EntryId>, limit: u32) -> Result<Page<Entry>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT entry_id, kind, amount, at, reference, note, corrects, actor FROM credit_entries
         WHERE organization_id = $1 AND entry_id > $2 ORDER BY entry_id LIMIT $3",
    )
    .bind(tx.organization())
    .bind(after.map_or(Uuid::nil(), EntryId::to_uuid))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let entries: Result<Vec<Entry>> = rows.into_iter().map(read).collect();
    Ok(Page::of(entries?, limit))
}

/// The entry with this id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn entry(tx: &mut TenantTx, id: EntryId) -> Result<Entry> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT entry_id, kind, amount, at, reference, note, corrects, actor FROM credit_entries
         WHERE organization_id = $1 AND entry_id = $2",
    )
    .bind(tx.organization())
    .bind(id.to_uuid())
    .fetch_optional(tx.connection())
    .await?;
    read(row.ok_or(StoreError::NotFound)?)
}

fn read((id, kind, amount, at, reference, note, corrects, actor): Row) -> Result<Entry> {
    Ok(Entry {
        id: EntryId::from_uuid(id),
        kind: from_name(&kind)?,
        amount: NanoUsd::new(amount),
        at: timestamp(at),
        reference,
        note,
        corrects: corrects.map(EntryId::from_uuid),
        actor,
    })
}
