//! The audit: one entry per change, hash-chained per organization.
//!
//! A head row beside the chain shows a cut tail as well as an edit or a deletion.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tidegate_types::Timestamp;

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
    /// The chain's hash up to this entry, SHA-256.
    pub hash: [u8; 32],
}

const GENESIS: [u8; 32] = [0; 32];

/// Writes an entry at the end of the bound organization's chain; locks the chain until commit.
pub(crate) async fn append(tx: &mut TenantTx, now: Timestamp, note: &AuditNote) -> Result<u64> {
    let organization = tx.organization();
    // Locks the head also when the chain is new.
    let (n, previous): (i64, Vec<u8>) = sqlx::query_as(
        "INSERT INTO audit_heads AS h (organization_id, n, hash) VALUES ($1, 0, $2)
         ON CONFLICT (organization_id) DO UPDATE SET n = h.n RETURNING n, hash",
    )
    .bind(organization)
    .bind(GENESIS.as_slice())
    .fetch_one(tx.connection())
    .await?;
    let previous = bytes32(&previous, "audit head")?;
    let n = n + 1;
    let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let (before, after) = (text(&note.before), text(&note.after));
    let actor = tx.who().to_string();
    let link = Link {
        n,
        at: now.as_micros(),
        actor: &actor,
        action: note.action,
        object: &note.object,
        before: before.as_deref(),
        after: after.as_deref(),
    };
    let hash = link.hash(&previous);
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
    .bind(previous.as_slice())
    .bind(hash.as_slice())
    .execute(tx.connection())
    .await?;
    Ok(unsigned(n))
}

/// What an entry's hash covers, as stored.
struct Link<'a> {
    n: i64,
    at: i64,
    actor: &'a str,
    action: &'a str,
    object: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

impl Link<'_> {
    fn hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(previous);
        hash.update(self.n.to_be_bytes());
        hash.update(self.at.to_be_bytes());
        let mut part = |text: Option<&str>| {
            // A length before each part: no two entries have the same bytes.
            hash.update([u8::from(text.is_some())]);
            hash.update((text.map_or(0, str::len) as u64).to_be_bytes());
            hash.update(text.unwrap_or_default());
        };
        part(Some(self.actor));
        part(Some(self.action));
        part(Some(self.object));
        part(self.before);
        part(self.after);
        hash.finalize().into()
    }
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
    hash: Vec<u8>,
}

impl Row {
    fn entry(self) -> Result<Entry> {
        let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose();
        let unreadable = |_| StoreError::Unreadable("audit entry");
        Ok(Entry {
            n: unsigned(self.n),
            at: timestamp(self.at),
            actor: self.actor,
            action: self.action,
            object: self.object,
            before: json(self.before).map_err(unreadable)?,
            after: json(self.after).map_err(unreadable)?,
            hash: bytes32(&self.hash, "audit entry")?,
        })
    }

    fn link(&self) -> Link<'_> {
        Link {
            n: self.n,
            at: self.at.timestamp_micros(),
            actor: &self.actor,
            action: &self.action,
            object: &self.object,
            before: self.before.as_deref(),
            after: self.after.as_deref(),
        }
    }
}

/// A page of entries, newest first, before place `before`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, before: Option<u64>, limit: u32) -> Result<Page<Entry>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT n, at, actor, action, object, before::text AS before, after::text AS after, hash FROM audit
         WHERE organization_id = $1 AND n < $2 ORDER BY n DESC LIMIT $3",
    )
    .bind(tx.organization())
    .bind(before.map_or(i64::MAX, signed))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let entries: Result<Vec<_>> = rows.into_iter().map(Row::entry).collect();
    Ok(Page::of(entries?, limit))
}

/// What checking a chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry follows from the one before; so many entries.
    Whole(u64),
    /// The first entry that is missing, edited or not the one that the head knows.
    BrokenAt(u64),
}

/// Checks the bound organization's chain from its first entry to its head.
///
/// # Errors
/// When the database is away.
pub async fn verify(tx: &mut TenantTx) -> Result<Verdict> {
    let head: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT n, hash FROM audit_heads WHERE organization_id = $1")
            .bind(tx.organization())
            .fetch_optional(tx.connection())
            .await?;
    let (mut n, mut hash) = (0, GENESIS);
    loop {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT n, at, actor, action, object, before::text AS before, after::text AS after, hash FROM audit
             WHERE organization_id = $1 AND n > $2 ORDER BY n LIMIT 1000",
        )
        .bind(tx.organization())
        .bind(n)
        .fetch_all(tx.connection())
        .await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let expected = row.link().hash(&hash);
            if row.n != n + 1 || row.hash != expected {
                return Ok(Verdict::BrokenAt(unsigned(n + 1)));
            }
            (n, hash) = (row.n, expected);
        }
    }
    let (head_n, head_hash) = head.unwrap_or((0, GENESIS.to_vec()));
    let whole = head_n == n && head_hash == hash;
    Ok(if whole { Verdict::Whole(unsigned(n)) } else { Verdict::BrokenAt(unsigned(n + 1)) })
}
