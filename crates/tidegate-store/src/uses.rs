//! When a credential was last used: noted from call records, to the minute, so that most batches write nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use tidegate_types::usage::CallRecord;
use tidegate_types::{CredentialId, OrganizationId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::convert::{time, timestamp};
use crate::tenant::TenantTx;

/// Of these credentials of the bound organization those that were ever used, and when last.
///
/// # Errors
/// When the database is away.
pub async fn of(tx: &mut TenantTx, ids: &[CredentialId]) -> Result<BTreeMap<CredentialId, Timestamp>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.to_uuid()).collect();
    let rows: Vec<(Uuid, DateTime<Utc>)> = sqlx::query_as(
        "SELECT credential_id, last_used_at FROM credential_uses
         WHERE organization_id = $1 AND credential_id = ANY($2)",
    )
    .bind(tx.organization())
    .bind(&ids)
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|(id, at)| (CredentialId::from_uuid(id), timestamp(at))).collect())
}

/// Notes when calls that are new used which credentials. A credential is its owner's, or the operator's: nobody
/// else's calls say anything of it.
pub(crate) async fn note<'c>(
    connection: &mut PgConnection,
    calls: impl Iterator<Item = &'c CallRecord>,
    now: Timestamp,
) -> Result<()> {
    let mut last: BTreeMap<(OrganizationId, CredentialId), Timestamp> = BTreeMap::new();
    for call in calls {
        for attempt in call.attempts.iter().filter(|attempt| attempt.status != 0) {
            let Some(credential) = attempt.credential_id else { continue };
            // A node's clock may go wrong; what is to come has not happened.
            let at = call.at.plus_millis(i64::from(attempt.started_ms)).min(now);
            let known = last.entry((call.organization_id, credential)).or_insert(at);
            *known = at.max(*known);
        }
    }
    if last.is_empty() {
        return Ok(());
    }
    let organizations: Vec<Uuid> = last.keys().map(|(owner, _)| owner.to_uuid()).collect();
    let credentials: Vec<Uuid> = last.keys().map(|(_, id)| id.to_uuid()).collect();
    let times: Vec<DateTime<Utc>> = last.values().map(|at| time(*at)).collect();
    sqlx::query(
        "INSERT INTO credential_uses AS u (organization_id, credential_id, last_used_at)
         SELECT c.organization_id, c.uid, max(t.at)
         FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (organization_id, credential_id, at)
         JOIN config_resources c ON c.kind = 'credential' AND c.uid = t.credential_id
             AND c.organization_id IN (t.organization_id, $4) AND c.content IS NOT NULL
         LEFT JOIN credential_uses k ON k.organization_id = c.organization_id AND k.credential_id = c.uid
         WHERE k.last_used_at IS NULL OR k.last_used_at < t.at - interval '1 minute'
         GROUP BY 1, 2 ORDER BY 1, 2
         ON CONFLICT (organization_id, credential_id) DO UPDATE
             SET last_used_at = greatest(u.last_used_at, excluded.last_used_at)",
    )
    .bind(&organizations)
    .bind(&credentials)
    .bind(&times)
    .bind(OrganizationId::SYSTEM.to_uuid())
    .execute(connection)
    .await?;
    Ok(())
}
