//! The way of calls to collectors: put in line with their record, claimed, and recorded.
//!
//! A line is bounded: what does not fit is counted as dropped. A claimed call is nobody else's until its
//! claim runs out.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;
use tidegate_types::usage::CallRecord;
use tidegate_types::{CallId, OrganizationId, Timestamp};
use uuid::Uuid;

use super::{ExporterId, SealedHeaders};
use crate::connect::Store;
use crate::convert::time;
use crate::tenant::TenantTx;
use crate::{Result, calls};

/// Calls that wait for one collector at most.
pub(crate) const MOST_WAITING: i64 = 10_000;

/// Calls of one exporter that are due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Whose.
    pub organization_id: OrganizationId,
    /// Where to.
    pub exporter_id: ExporterId,
    /// Its URL.
    pub url: String,
    /// Its headers.
    pub headers: SealedHeaders,
    /// The calls, oldest first.
    pub calls: Vec<CallId>,
    /// How often the collector failed one after the other.
    pub failures: u32,
}

impl Due {
    /// The records of its calls, those that are there.
    ///
    /// # Errors
    /// When the database is away, or a record cannot be read.
    pub async fn records(&self, tx: &mut TenantTx) -> Result<Vec<CallRecord>> {
        calls::of(tx, &self.calls).await
    }
}

/// What came of bringing calls to a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The collector took them, but for those that it refused.
    Taken {
        /// Calls that the collector said it refused.
        refused: u64,
    },
    /// They are brought again.
    Again {
        /// HTTP status, when one came.
        status: Option<u16>,
        /// One word of a closed list.
        error: &'static str,
        /// When.
        next_at: Timestamp,
    },
    /// They are given up.
    Dropped {
        /// HTTP status, when one came.
        status: Option<u16>,
        /// One word of a closed list.
        error: &'static str,
    },
}

/// Puts calls that are new in line for their organization's exporters; returns how many found no place.
/// Calls whose caller said that they are not sampled are left out.
pub(crate) async fn enqueue(
    connection: &mut PgConnection,
    calls: &[(Uuid, Uuid)],
    now: Timestamp,
    most: i64,
) -> Result<u64> {
    if calls.is_empty() {
        return Ok(0);
    }
    let (organizations, ids): (Vec<Uuid>, Vec<Uuid>) = calls.iter().copied().unzip();
    // In one order: two intakes never wait for one another in a circle.
    let targets: Vec<(Uuid, Uuid, i64)> = sqlx::query_as(
        "SELECT e.organization_id, e.exporter_id, (SELECT count(*) FROM (SELECT FROM trace_queue q
             WHERE q.organization_id = e.organization_id AND q.exporter_id = e.exporter_id LIMIT $2) waiting)
         FROM exporters e WHERE e.enabled AND e.organization_id = ANY($1)
         ORDER BY e.organization_id, e.exporter_id",
    )
    .bind(&organizations)
    .bind(most)
    .fetch_all(&mut *connection)
    .await?;
    let mut lost = 0;
    for (organization, exporter, waiting) in targets {
        let (queued, wanted): (i64, i64) = sqlx::query_as(
            "WITH wanted AS (
                 SELECT r.call_id FROM unnest($3::uuid[], $4::uuid[]) AS k (organization_id, call_id)
                 JOIN call_records r ON r.organization_id = $1 AND r.day = id_day(k.call_id) AND r.call_id = k.call_id
                 WHERE k.organization_id = $1 AND (r.trace_parent IS NULL OR get_byte(r.trace_parent, 24) % 2 = 1)),
             queued AS (
                 INSERT INTO trace_queue SELECT $1, $2, call_id, 0, $5 FROM wanted LIMIT $6
                 ON CONFLICT DO NOTHING RETURNING 1)
             SELECT (SELECT count(*) FROM queued), (SELECT count(*) FROM wanted)",
        )
        .bind(organization)
        .bind(exporter)
        .bind(&organizations)
        .bind(&ids)
        .bind(time(now))
        .bind((most - waiting).max(0))
        .fetch_one(&mut *connection)
        .await?;
        if wanted > queued {
            sqlx::query(
                "UPDATE exporters SET dropped = dropped + $3 WHERE organization_id = $1 AND exporter_id = $2",
            )
            .bind(organization)
            .bind(exporter)
            .bind(wanted - queued)
            .execute(&mut *connection)
            .await?;
            lost += (wanted - queued).unsigned_abs();
        }
    }
    Ok(lost)
}

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    exporter_id: Uuid,
    call_id: Uuid,
    failures: i32,
    url: String,
    header_names: Vec<String>,
    secret: Vec<u8>,
    secret_version: i32,
    data_key_version: i32,
}

/// Claims at most `limit` calls that are due, until `until`; those of exporters that are switched off or
/// that failed a moment ago wait.
///
/// # Errors
/// When the database is away.
pub async fn claim(store: &Store, now: Timestamp, until: Timestamp, limit: u16) -> Result<Vec<Due>> {
    let rows: Vec<Row> = sqlx::query_as(
        "WITH due AS (
             SELECT q.organization_id, q.exporter_id, q.call_id FROM trace_queue q
             JOIN exporters e USING (organization_id, exporter_id)
             WHERE q.next_at <= $1 AND e.enabled AND e.not_before <= $1 ORDER BY q.next_at LIMIT $3 FOR UPDATE OF q SKIP LOCKED),
         claimed AS (
             UPDATE trace_queue q SET next_at = $2, attempts = q.attempts + 1
             FROM due WHERE q.organization_id = due.organization_id AND q.exporter_id = due.exporter_id
                 AND q.call_id = due.call_id
             RETURNING q.organization_id, q.exporter_id, q.call_id)
         SELECT c.organization_id, c.exporter_id, c.call_id, e.failures, e.url, e.header_names, e.secret,
             e.secret_version, e.data_key_version
         FROM claimed c JOIN exporters e USING (organization_id, exporter_id) ORDER BY c.call_id",
    )
    .bind(time(now))
    .bind(time(until))
    .bind(i64::from(limit))
    .fetch_all(store.feed())
    .await?;
    let mut due: BTreeMap<(Uuid, Uuid), Due> = BTreeMap::new();
    for row in rows {
        let one = due.entry((row.organization_id, row.exporter_id)).or_insert_with(|| Due {
            organization_id: OrganizationId::from_uuid(row.organization_id),
            exporter_id: ExporterId::from_uuid(row.exporter_id),
            url: row.url,
            headers: SealedHeaders {
                names: row.header_names,
                secret_version: row.secret_version.unsigned_abs(),
                data_key_version: row.data_key_version.unsigned_abs(),
                bytes: row.secret,
            },
            calls: Vec::new(),
            failures: row.failures.unsigned_abs(),
        });
        one.calls.push(CallId::from_uuid(row.call_id));
    }
    Ok(due.into_values().collect())
}

/// Records what came of claimed calls.
///
/// # Errors
/// When the database is away: the claim runs out, and they are brought again.
pub async fn record(store: &Store, due: &Due, came: Came, now: Timestamp) -> Result<()> {
    let (organization, exporter) = (due.organization_id.to_uuid(), due.exporter_id.to_uuid());
    let calls: Vec<Uuid> = due.calls.iter().map(|call| call.to_uuid()).collect();
    let count = i64::try_from(calls.len()).unwrap_or(i64::MAX);
    let mut tx = store.feed().begin().await?;
    let (sent, dropped, status, error) = match came {
        Came::Taken { refused } => {
            let refused = i64::try_from(refused).unwrap_or(i64::MAX).min(count);
            (count - refused, refused, None, (refused > 0).then_some("refused_in_part"))
        }
        Came::Again { status, error, .. } => (0, 0, status, Some(error)),
        Came::Dropped { status, error } => (0, count, status, Some(error)),
    };
    let mut pause = None;
    if let Came::Again { next_at, .. } = came {
        pause = Some(time(next_at));
        sqlx::query(
            "UPDATE trace_queue SET next_at = $4
             WHERE organization_id = $1 AND exporter_id = $2 AND call_id = ANY($3)",
        )
        .bind(organization)
        .bind(exporter)
        .bind(&calls)
        .bind(time(next_at))
        .execute(&mut *tx)
        .await?;
    } else {
        sqlx::query(
            "DELETE FROM trace_queue WHERE organization_id = $1 AND exporter_id = $2 AND call_id = ANY($3)",
        )
        .bind(organization)
        .bind(exporter)
        .bind(&calls)
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query(
        "UPDATE exporters SET sent = sent + $3, dropped = dropped + $4, last_status = $5, last_error = $6,
             failures = CASE WHEN $8::timestamptz IS NULL THEN 0 ELSE failures + 1 END,
             not_before = coalesce($8, '-infinity'),
             last_sent_at = CASE WHEN $3 > 0 THEN $7 ELSE last_sent_at END,
             last_failed_at = CASE WHEN $6::text IS NULL THEN last_failed_at ELSE $7 END
         WHERE organization_id = $1 AND exporter_id = $2",
    )
    .bind(organization)
    .bind(exporter)
    .bind(sent)
    .bind(dropped)
    .bind(status.map(i32::from))
    .bind(error)
    .bind(time(now))
    .bind(pause)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// How many calls wait for collectors.
///
/// # Errors
/// When the database is away.
pub async fn depth(store: &Store) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM trace_queue").fetch_one(store.feed()).await?)
}
