//! The audit: one entry per change, hash-chained per organization.
//!
//! A head row beside the chain shows a cut tail as well as an edit or a deletion.

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_types::Timestamp;
use tidegate_types::audit::{ChainHash, End, Line, Link, Walk};

use crate::change::AuditNote;
use crate::convert::{bytes32, signed, time, timestamp, unsigned};
use crate::document::{Page, one_more};
use crate::tenant::TenantTx;
use crate::{Result, StoreError};

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Place in the organization's chain, from 1.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// Who: an id, or `system:<part>`.
    pub actor: String,
    /// Dotted verb.
    pub action: String,
    /// What was changed.
    pub object: String,
    /// As it was.
    pub before: Option<Value>,
    /// As it was afterwards.
    pub after: Option<Value>,
    /// The chain's hash up to this entry.
    pub hash: ChainHash,
}

/// Writes an entry at the end of the bound organization's chain; locks the chain until commit.
pub(crate) async fn append(tx: &mut TenantTx, now: Timestamp, note: &AuditNote) -> Result<u64> {
    let organization = tx.organization();
    // Locks the head also when the chain is new.
    let (n, previous): (i64, Vec<u8>) = sqlx::query_as(
        "INSERT INTO audit_heads AS h (organization_id, n, hash) VALUES ($1, 0, $2)
         ON CONFLICT (organization_id) DO UPDATE SET n = h.n RETURNING n, hash",
    )
    .bind(organization)
    .bind(ChainHash::GENESIS.as_bytes().as_slice())
    .fetch_one(tx.connection())
    .await?;
    let previous = chain_hash(&previous)?;
    let n = n + 1;
    let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let (before, after) = (text(&note.before), text(&note.after));
    let actor = tx.who().to_string();
    let link = Link {
        n: unsigned(n),
        at: now,
        actor: &actor,
        action: note.action,
        object: &note.object,
        before: before.as_deref(),
        after: after.as_deref(),
    };
    let hash = link.hash(previous);
    sqlx::query(
        "WITH entry AS (
             INSERT INTO audit (organization_id, n, at, actor, action, object, before, after, previous_hash, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7::json, $8::json, $9, $10))
         UPDATE audit_heads SET n = $2, hash = $10 WHERE organization_id = $1",
    )
    .bind(organization)
    .bind(n)
    .bind(time(now))
    .bind(&actor)
    .bind(note.action)
    .bind(&note.object)
    .bind(&before)
    .bind(&after)
    .bind(previous.as_bytes().as_slice())
    .bind(hash.as_bytes().as_slice())
    .execute(tx.connection())
    .await?;
    Ok(unsigned(n))
}

fn chain_hash(stored: &[u8]) -> Result<ChainHash> {
    bytes32(stored, "audit hash").map(ChainHash::from_bytes)
}

#[derive(sqlx::FromRow)]
struct Row {
    n: i64,
    at: DateTime<Utc>,
    actor: String,
    action: String,
    object: String,
    before: Option<String>,
    after: Option<String>,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl Row {
    fn line(self) -> Result<Line> {
        let json = |text: Option<String>| text.map(RawValue::from_string).transpose();
        let unreadable = |_| StoreError::Unreadable("audit entry");
        Ok(Line {
            n: unsigned(self.n),
            at: timestamp(self.at),
            actor: self.actor,
            action: self.action,
            object: self.object,
            before: json(self.before).map_err(unreadable)?,
            after: json(self.after).map_err(unreadable)?,
            previous_hash: chain_hash(&self.previous_hash)?,
            hash: chain_hash(&self.hash)?,
        })
    }
}

/// The entry of a line.
fn entry(line: Line) -> Result<Entry> {
    let json = |text: Option<Box<RawValue>>| {
        let read = text.map(|text| serde_json::from_str(text.get())).transpose();
        read.map_err(|_| StoreError::Unreadable("audit entry"))
    };
    let Line { n, at, actor, action, object, before, after, hash, .. } = line;
    Ok(Entry { n, at, actor, action, object, before: json(before)?, after: json(after)?, hash })
}

/// A page of entries, newest first, before place `before`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, before: Option<u64>, limit: u32) -> Result<Page<Entry>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT n, at, actor, action, object, before::text AS before, after::text AS after,
         previous_hash, hash FROM audit WHERE organization_id = $1 AND n < $2 ORDER BY n DESC LIMIT $3",
    )
    .bind(tx.organization())
    .bind(before.map_or(i64::MAX, signed))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let entries: Result<Vec<_>> = rows.into_iter().map(|row| row.line().and_then(entry)).collect();
    Ok(Page::of(entries?, limit))
}

/// The bound organization's entries behind place `after` in their order, `limit` at most, as lines of an export.
///
/// # Errors
/// When the database is away, or what is stored cannot be read.
pub async fn lines(tx: &mut TenantTx, after: u64, limit: u32) -> Result<Vec<Line>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT n, at, actor, action, object, before::text AS before, after::text AS after,
         previous_hash, hash FROM audit WHERE organization_id = $1 AND n > $2 ORDER BY n LIMIT $3",
    )
    .bind(tx.organization())
    .bind(signed(after))
    .bind(i64::from(limit))
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Row::line).collect()
}

/// What the bound organization's chain has as its end.
///
/// # Errors
/// When the database is away.
pub async fn end(tx: &mut TenantTx) -> Result<End> {
    let organization_id = tx.organization_id();
    let head: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT n, hash FROM audit_heads WHERE organization_id = $1")
            .bind(tx.organization())
            .fetch_optional(tx.connection())
            .await?;
    Ok(match head {
        Some((n, hash)) => End { organization_id, entries: unsigned(n), hash: chain_hash(&hash)? },
        None => End { organization_id, entries: 0, hash: ChainHash::GENESIS },
    })
}

/// What checking a chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry follows from the one before; so many entries.
    Whole(u64),
    /// The first entry that is missing, edited or not the one that the head knows.
    BrokenAt(u64),
}

/// Checks the bound organization's chain from its first entry to its head. `tx` is one of
/// [`begin_snapshot`](crate::Store::begin_snapshot): what is appended meanwhile is no fault.
///
/// # Errors
/// When the database is away.
pub async fn verify(tx: &mut TenantTx) -> Result<Verdict> {
    let end = end(tx).await?;
    let mut walk = Walk::from_the_first();
    loop {
        let part = lines(tx, walk.last_entry(), 1_000).await?;
        let walked = match part.as_slice() {
            [] => walk.end(&end),
            some => some.iter().try_for_each(|line| walk.entry(line)),
        };
        if walked.is_err() {
            return Ok(Verdict::BrokenAt(walk.last_entry() + 1));
        }
        if part.is_empty() {
            return Ok(Verdict::Whole(end.entries));
        }
    }
}
