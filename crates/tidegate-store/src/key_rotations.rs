//! Rotations of keys: which run, who works on one, how far it is.

use chrono::{DateTime, Utc};
use tidegate_types::{OrganizationId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::change::Change;
use crate::convert::{time, timestamp, unsigned};
use crate::tenant::TenantTx;

/// A rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Identity.
    pub id: Uuid,
    /// `kek`, `data_key`, `pool_key` or `pepper`.
    pub kind: String,
    /// The pool of a pool key; `None`: all.
    pub pool: Option<String>,
    /// `running` or `done`.
    pub state: String,
    /// Who began it.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// Keys and secrets done.
    pub done: u64,
    /// Of as many.
    pub total: u64,
    /// Why it does not go on.
    pub problem: Option<String>,
    /// How often it found the same organizations left, one after the other; 0 without any.
    pub tried: u32,
    /// The organizations that were left then.
    pub left: Vec<OrganizationId>,
}

/// A rotation that is done but for some organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// How often it found them left.
    pub tried: u32,
    /// Which.
    pub left: Vec<OrganizationId>,
    /// Why.
    pub problem: String,
    /// When it is tried again.
    pub until: Timestamp,
}

type Row = (
    Uuid,
    String,
    Option<String>,
    String,
    String,
    DateTime<Utc>,
    Option<DateTime<Utc>>,
    i64,
    i64,
    Option<String>,
    i32,
    Vec<Uuid>,
);

fn rotation(row: Row) -> Rotation {
    let (id, kind, pool, state, started_by, started_at, finished_at, done, total, problem, tried, left) = row;
    Rotation {
        id,
        kind,
        pool,
        state,
        started_by,
        started_at: timestamp(started_at),
        finished_at: finished_at.map(timestamp),
        done: unsigned(done),
        total: unsigned(total),
        problem,
        tried: tried.unsigned_abs(),
        left: left.into_iter().map(OrganizationId::from_uuid).collect(),
    }
}

/// Begins a rotation; the one that runs already, if there is one of its kind. Whether it is new.
///
/// # Errors
/// [`crate::StoreError::Dangling`] for an unknown pool.
pub async fn begin(
    change: &mut Change,
    id: Uuid,
    kind: &str,
    pool: Option<&str>,
) -> Result<(Rotation, bool)> {
    let (now, by) = (time(change.now()), change.actor().who().to_string());
    let inserted = sqlx::query(
        "INSERT INTO key_rotations (rotation_id, kind, pool, state, started_by, started_at, leased_until)
         VALUES ($1, $2, $3, 'running', $4, $5, $5) ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(kind)
    .bind(pool)
    .bind(by)
    .bind(now)
    .execute(change.connection())
    .await?;
    let row: Row = sqlx::query_as(
        "SELECT rotation_id, kind, pool, state, started_by, started_at, finished_at, done, total, problem,
             tried, left_organizations
         FROM key_rotations WHERE kind = $1 AND pool IS NOT DISTINCT FROM $2 AND state = 'running'",
    )
    .bind(kind)
    .bind(pool)
    .fetch_one(change.connection())
    .await?;
    Ok((rotation(row), inserted.rows_affected() == 1))
}

/// The rotations, newest first, 50 at most.
///
/// # Errors
/// When the database is away.
pub async fn rotations(tx: &mut TenantTx) -> Result<Vec<Rotation>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT rotation_id, kind, pool, state, started_by, started_at, finished_at, done, total, problem,
             tried, left_organizations
         FROM key_rotations ORDER BY started_at DESC LIMIT 50",
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(rotation).collect())
}

/// Takes a rotation that nobody works on, until `until`. One that is put off is taken at once, unless it is among those
/// that this process has `tried`: another release, or another start, may be able to finish it.
///
/// # Errors
/// When the database is away.
pub async fn lease(mut change: Change, until: Timestamp, tried: &[Uuid]) -> Result<Option<Rotation>> {
    let now = time(change.now());
    let row: Option<Row> = sqlx::query_as(
        "UPDATE key_rotations SET leased_until = $2 WHERE rotation_id = (
             SELECT rotation_id FROM key_rotations WHERE state = 'running' AND (leased_until <= $1
                 OR leased_until = put_off_until AND rotation_id <> ALL ($3))
             ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING rotation_id, kind, pool, state, started_by, started_at, finished_at, done, total, problem,
             tried, left_organizations",
    )
    .bind(now)
    .bind(time(until))
    .bind(tried)
    .fetch_optional(change.connection())
    .await?;
    change.save().await?;
    Ok(row.map(rotation))
}

/// Says how far a rotation is, and goes on working on it.
///
/// # Errors
/// When the database is away.
pub async fn progress(
    mut change: Change,
    id: Uuid,
    done: u64,
    total: u64,
    problem: Option<&str>,
    until: Timestamp,
) -> Result<()> {
    sqlx::query(
        "UPDATE key_rotations SET done = $2, total = $3, problem = $4, leased_until = $5 WHERE rotation_id = $1",
    )
    .bind(id)
    .bind(crate::convert::signed(done))
    .bind(crate::convert::signed(total))
    .bind(problem)
    .bind(time(until))
    .execute(change.connection())
    .await?;
    change.save().await
}

/// A rotation is done but for some organizations: who has tried it tries it again later.
///
/// # Errors
/// When the database is away.
pub async fn put_off(mut change: Change, id: Uuid, again: &PutOff) -> Result<()> {
    let left: Vec<Uuid> = again.left.iter().map(|organization| organization.to_uuid()).collect();
    sqlx::query(
        "UPDATE key_rotations SET tried = $2, left_organizations = $3, problem = $4, leased_until = $5, put_off_until = $5
         WHERE rotation_id = $1 AND state = 'running'",
    )
    .bind(id)
    .bind(crate::convert::signed32(again.tried))
    .bind(left)
    .bind(&again.problem)
    .bind(time(again.until))
    .execute(change.connection())
    .await?;
    change.save().await
}

/// Keeps a rotation that is worked on, until `until`, whatever else is written of it meanwhile.
///
/// # Errors
/// When the database is away.
pub async fn keep(mut change: Change, id: Uuid, until: Timestamp) -> Result<()> {
    sqlx::query("UPDATE key_rotations SET leased_until = $2 WHERE rotation_id = $1 AND state = 'running'")
        .bind(id)
        .bind(time(until))
        .execute(change.connection())
        .await?;
    change.save().await
}

/// A rotation is done.
///
/// # Errors
/// When the database is away.
pub async fn finish(change: &mut Change, id: Uuid) -> Result<()> {
    let now = time(change.now());
    sqlx::query(
        "UPDATE key_rotations SET state = 'done', finished_at = $2, done = total, problem = NULL, tried = 0,
             left_organizations = '{}' WHERE rotation_id = $1",
    )
    .bind(id)
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(())
}
