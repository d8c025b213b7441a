//! Credentials that their provider does not accept: noted from call records, told once for each time that
//! it begins, over when the provider answers again or the secret is replaced.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::postgres::PgConnection;
use tidegate_types::usage::CallRecord;
use tidegate_types::{CredentialId, OrganizationId, Timestamp};
use uuid::Uuid;

use crate::change::Change;
use crate::convert::{time, timestamp};
use crate::notices::{Notice, NoticeKind, raise};
use crate::tenant::TenantTx;
use crate::{Result, StoreError};

/// What is known of a credential's refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What the provider answered the last time: 401 or 403.
    pub status: u16,
    /// The first refusal since it was accepted.
    pub since: Timestamp,
    /// The last one.
    pub at: Timestamp,
    /// How often since `since`.
    pub count: u64,
    /// When the provider accepted it again; absent: it has not.
    pub recovered_at: Option<Timestamp>,
}

/// Of these credentials of the bound organization those that were ever refused.
///
/// # Errors
/// When the database is away.
pub async fn of(tx: &mut TenantTx, ids: &[CredentialId]) -> Result<BTreeMap<CredentialId, Failure>> {
    type Row = (Uuid, i32, DateTime<Utc>, DateTime<Utc>, i64, Option<DateTime<Utc>>);
    let ids: Vec<Uuid> = ids.iter().map(|id| id.to_uuid()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT credential_id, status, failing_since, failed_at, failures, recovered_at FROM credential_failures
         WHERE organization_id = $1 AND credential_id = ANY($2)",
    )
    .bind(tx.organization())
    .bind(&ids)
    .fetch_all(tx.connection())
    .await?;
    let failure = |(id, status, since, at, count, recovered_at): Row| {
        let failure = Failure {
            status: u16::try_from(status).unwrap_or(0),
            since: timestamp(since),
            at: timestamp(at),
            count: count.unsigned_abs(),
            recovered_at: recovered_at.map(timestamp),
        };
        (CredentialId::from_uuid(id), failure)
    };
    Ok(rows.into_iter().map(failure).collect())
}

/// Forgets what was known of a credential: it has another secret.
pub(crate) async fn forget(change: &mut Change, id: CredentialId) -> Result<()> {
    let organization = change.organization();
    sqlx::query("DELETE FROM credential_failures WHERE organization_id = $1 AND credential_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}

/// What the calls of a batch say of one credential.
#[derive(Default)]
struct Told {
    refused: i64,
    status: u16,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    answered: Option<Timestamp>,
}

/// Notes what calls that are new say of credentials. Those that begin to fail are told.
pub(crate) async fn note<'c>(
    connection: &mut PgConnection,
    calls: impl Iterator<Item = &'c CallRecord>,
    now: Timestamp,
) -> Result<()> {
    let told = told(calls, now);
    refused(connection, &told, now).await?;
    answered(connection, &told).await
}

fn told<'c>(
    calls: impl Iterator<Item = &'c CallRecord>,
    now: Timestamp,
) -> BTreeMap<(OrganizationId, CredentialId), Told> {
    let mut found: BTreeMap<_, Told> = BTreeMap::new();
    for call in calls {
        for attempt in &call.attempts {
            let Some(credential) = attempt.credential_id else { continue };
            // A node's clock may go wrong; what is to come has not happened.
            let at = call.at.plus_millis(i64::from(attempt.started_ms)).min(now);
            let told = found.entry((call.organization_id, credential)).or_default();
            match attempt.status {
                401 | 403 => {
                    told.refused += 1;
                    told.status = attempt.status;
                    told.first = Some(told.first.map_or(at, |first| first.min(at)));
                    told.last = Some(told.last.map_or(at, |last| last.max(at)));
                }
                200..=299 => told.answered = Some(told.answered.map_or(at, |last| last.max(at))),
                _ => {}
            }
        }
    }
    found
}

async fn refused(
    connection: &mut PgConnection,
    told: &BTreeMap<(OrganizationId, CredentialId), Told>,
    now: Timestamp,
) -> Result<()> {
    type Failing = (Uuid, Uuid, i32, DateTime<Utc>, String, String);
    let refused: Vec<_> = told.iter().filter(|(_, told)| told.refused > 0).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let organizations: Vec<Uuid> = refused.iter().map(|((owner, _), _)| owner.to_uuid()).collect();
    let credentials: Vec<Uuid> = refused.iter().map(|((_, id), _)| id.to_uuid()).collect();
    let statuses: Vec<i32> = refused.iter().map(|(_, told)| i32::from(told.status)).collect();
    let counts: Vec<i64> = refused.iter().map(|(_, told)| told.refused).collect();
    let at = |at: Option<Timestamp>| time(at.unwrap_or(now));
    let firsts: Vec<DateTime<Utc>> = refused.iter().map(|(_, told)| at(told.first)).collect();
    let lasts: Vec<DateTime<Utc>> = refused.iter().map(|(_, told)| at(told.last)).collect();
    // A credential is its owner's, or the operator's: nobody else's calls say anything of it.
    let failing: Vec<Failing> = sqlx::query_as(
        "WITH noted AS (
             INSERT INTO credential_failures AS f
                 (organization_id, credential_id, status, failing_since, failed_at, failures)
             SELECT c.organization_id, c.uid, max(t.status), min(t.first), max(t.last), sum(t.count)::bigint
             FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
                 AS t (organization_id, credential_id, status, count, first, last)
             JOIN config_resources c ON c.kind = 'credential' AND c.uid = t.credential_id
                 AND c.organization_id IN (t.organization_id, $7) AND c.content IS NOT NULL
             GROUP BY 1, 2 ORDER BY 1, 2
             ON CONFLICT (organization_id, credential_id) DO UPDATE SET
                 status = excluded.status, failed_at = greatest(f.failed_at, excluded.failed_at),
                 failing_since = CASE WHEN f.recovered_at < excluded.failed_at THEN excluded.failing_since
                     ELSE least(f.failing_since, excluded.failing_since) END,
                 failures = CASE WHEN f.recovered_at < excluded.failed_at THEN 0 ELSE f.failures END + excluded.failures,
                 recovered_at = CASE WHEN f.recovered_at < excluded.failed_at THEN NULL ELSE f.recovered_at END
             RETURNING f.organization_id, f.credential_id, f.status, f.failing_since, f.recovered_at)
         SELECT n.organization_id, n.credential_id, n.status, n.failing_since,
             coalesce(c.content ->> 'name', ''), coalesce(c.content ->> 'provider', '')
         FROM noted n JOIN config_resources c
             ON c.organization_id = n.organization_id AND c.kind = 'credential' AND c.uid = n.credential_id
         WHERE n.recovered_at IS NULL",
    )
    .bind(&organizations)
    .bind(&credentials)
    .bind(&statuses)
    .bind(&counts)
    .bind(&firsts)
    .bind(&lasts)
    .bind(OrganizationId::SYSTEM.to_uuid())
    .fetch_all(&mut *connection)
    .await?;
    let notice = |(owner, id, status, since, name, provider): Failing| {
        let (id, since) = (CredentialId::from_uuid(id), timestamp(since));
        Notice {
            organization_id: OrganizationId::from_uuid(owner),
            kind: NoticeKind::CredentialFailing,
            subject: format!("{id}:{}", since.as_micros()),
            data: json!({
                "organization_id": OrganizationId::from_uuid(owner), "credential_id": id, "credential": name,
                "provider": provider, "status": status, "since": since,
            }),
        }
    };
    raise(connection, failing.into_iter().map(notice).collect(), now).await?;
    Ok(())
}

async fn answered(
    connection: &mut PgConnection,
    told: &BTreeMap<(OrganizationId, CredentialId), Told>,
) -> Result<()> {
    let (organizations, rest): (Vec<Uuid>, Vec<(Uuid, DateTime<Utc>)>) = told
        .iter()
        .filter_map(|((owner, id), told)| Some((owner.to_uuid(), (id.to_uuid(), time(told.answered?)))))
        .unzip();
    if organizations.is_empty() {
        return Ok(());
    }
    let (credentials, times): (Vec<Uuid>, Vec<DateTime<Utc>>) = rest.into_iter().unzip();
    sqlx::query(
        "UPDATE credential_failures f SET recovered_at = t.at
         FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (organization_id, credential_id, at)
         WHERE f.credential_id = t.credential_id AND f.organization_id IN (t.organization_id, $4)
             AND f.recovered_at IS NULL AND f.failed_at < t.at",
    )
    .bind(&organizations)
    .bind(&credentials)
    .bind(&times)
    .bind(OrganizationId::SYSTEM.to_uuid())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::from)
}
