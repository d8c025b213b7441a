//! Trust rules: whose signed tokens may act as a key, and how the fetching of issuers' keys stands.

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_types::resource::{Resource, ResourceKind, TrustRule};
use tidegate_types::{KeyId, OrganizationId, Timestamp, TrustRuleId};
use uuid::Uuid;

use crate::change::Change;
use crate::connect::Store;
use crate::convert::{time, timestamp, to_json};
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, document};

const KIND: ResourceKind = ResourceKind::TrustRule;

fn unwrap(resource: Resource) -> Option<TrustRule> {
    match resource {
        Resource::TrustRule(value) => Some(value),
        _ => None,
    }
}

/// How the fetching of a rule's keys stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetching {
    /// When its issuer gave keys last.
    pub fetched_at: Option<Timestamp>,
    /// When an attempt failed last.
    pub failed_at: Option<Timestamp>,
    /// Why, one word of a closed list; none after a success.
    pub last_error: Option<String>,
}

/// A rule whose issuer's keys are to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The rule.
    pub id: TrustRuleId,
    /// Its issuer.
    pub issuer: String,
    /// Attempts that failed in a row.
    pub failures: u32,
}

/// The rule with this id.
///
/// # Errors
/// [`crate::StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, id: TrustRuleId) -> Result<Stored<TrustRule>> {
    let owner = tx.organization_id();
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of rules after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(
    tx: &mut TenantTx,
    after: Option<TrustRuleId>,
    limit: u32,
) -> Result<Page<Stored<TrustRule>>> {
    let owner = tx.organization_id();
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// How the fetching of these rules' keys stands, in their order.
///
/// # Errors
/// When the database is away.
pub async fn fetchings(tx: &mut TenantTx, rules: &[TrustRuleId]) -> Result<Vec<Fetching>> {
    type Row = (Uuid, Option<DateTime<Utc>>, Option<DateTime<Utc>>, Option<String>);
    let ids: Vec<Uuid> = rules.iter().map(|rule| rule.to_uuid()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT trust_rule_id, fetched_at, failed_at, last_error FROM trust_rules
         WHERE organization_id = $1 AND trust_rule_id = ANY($2)",
    )
    .bind(tx.organization())
    .bind(&ids)
    .fetch_all(tx.connection())
    .await?;
    let of = |id: &Uuid| {
        let row = rows.iter().find(|row| row.0 == *id)?;
        let (fetched_at, failed_at) = (row.1.map(timestamp), row.2.map(timestamp));
        Some(Fetching { fetched_at, failed_at, last_error: row.3.clone() })
    };
    Ok(ids.iter().map(|id| of(id).unwrap_or_default()).collect())
}

/// Whether a token could fit this rule and another one of its organization. Holds the place until the change
/// ends.
///
/// # Errors
/// When the database is away.
pub async fn overlaps(change: &mut Change, rule: &TrustRule) -> Result<bool> {
    let (overlaps,): (bool,) = sqlx::query_as("SELECT trust_rule_overlaps($1, $2, $3, $4, $5)")
        .bind(rule.organization_id.to_uuid())
        .bind(rule.id.to_uuid())
        .bind(&rule.issuer)
        .bind(&rule.audience)
        .bind(to_json(&rule.claims, "claims")?)
        .fetch_one(change.connection())
        .await?;
    Ok(overlaps)
}

/// Whether another rule than this one acts as the key.
///
/// # Errors
/// When the database is away.
pub async fn shares_key(change: &mut Change, id: TrustRuleId, key: KeyId) -> Result<bool> {
    let organization = change.organization();
    let (shares,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM trust_rules WHERE organization_id = $1 AND trust_rule_id <> $2 AND key_id = $3)",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(key.to_uuid())
    .fetch_one(change.connection())
    .await?;
    Ok(shares)
}

/// Adds a rule; keys that it should discover are due at once.
///
/// # Errors
/// [`crate::StoreError::Taken`] for a name in use, [`crate::StoreError::Dangling`] for what it refers to.
pub async fn insert(change: &mut Change, rule: &TrustRule) -> Result<()> {
    change.write(Some(rule.id.to_uuid()), &Resource::TrustRule(rule.clone()), false)?;
    let now = time(change.now());
    sqlx::query(
        "INSERT INTO trust_rules (organization_id, trust_rule_id, name, key_id, issuer, audience, claims, discovered,
             next_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(rule.organization_id.to_uuid())
    .bind(rule.id.to_uuid())
    .bind(&rule.name)
    .bind(rule.key_id.to_uuid())
    .bind(&rule.issuer)
    .bind(&rule.audience)
    .bind(to_json(&rule.claims, "claims")?)
    .bind(rule.discovered)
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version. `expected`: the version that the caller saw. `tightens`: it takes
/// something away, and a node that cannot apply it must fail closed.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], and as [`insert`].
pub async fn update(
    change: &mut Change,
    rule: &TrustRule,
    expected: Option<i64>,
    tightens: bool,
) -> Result<()> {
    document::lock(change, KIND, rule.id, expected).await?;
    change.write(Some(rule.id.to_uuid()), &Resource::TrustRule(rule.clone()), tightens)?;
    let now = time(change.now());
    sqlx::query(
        "UPDATE trust_rules SET name = $3, audience = $4, claims = $5,
             next_at = CASE WHEN $6 AND NOT discovered THEN $7 ELSE next_at END, discovered = $6
         WHERE organization_id = $1 AND trust_rule_id = $2",
    )
    .bind(rule.organization_id.to_uuid())
    .bind(rule.id.to_uuid())
    .bind(&rule.name)
    .bind(&rule.audience)
    .bind(to_json(&rule.claims, "claims")?)
    .bind(rule.discovered)
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes a rule.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`].
pub async fn delete(change: &mut Change, id: TrustRuleId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM trust_rules WHERE organization_id = $1 AND trust_rule_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Has a rule's keys fetched now, unless that was tried within `pause_ms`.
///
/// # Errors
/// When the database is away.
pub async fn hasten(change: &mut Change, id: TrustRuleId, pause_ms: i64) -> Result<()> {
    let (organization, now) = (change.organization(), change.now());
    sqlx::query(
        "UPDATE trust_rules SET next_at = $3
         WHERE organization_id = $1 AND trust_rule_id = $2 AND discovered AND next_at > $3
             AND greatest(fetched_at, failed_at) < $4",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(time(now))
    .bind(time(now.plus_millis(-pause_ms)))
    .execute(change.connection())
    .await?;
    Ok(())
}

/// The same for what a node of `pool` met an unknown key of.
///
/// # Errors
/// When the database is away.
pub async fn wanted(
    store: &Store,
    pool: &str,
    rules: &[(OrganizationId, TrustRuleId)],
    now: Timestamp,
    pause_ms: i64,
) -> Result<()> {
    let (organizations, ids): (Vec<Uuid>, Vec<Uuid>) =
        rules.iter().map(|(organization, rule)| (organization.to_uuid(), rule.to_uuid())).unzip();
    sqlx::query(
        "UPDATE trust_rules r SET next_at = $3 FROM unnest($1::uuid[], $2::uuid[]) AS w (organization_id, trust_rule_id)
         WHERE r.organization_id = w.organization_id AND r.trust_rule_id = w.trust_rule_id AND discovered
             AND next_at > $3 AND greatest(fetched_at, failed_at) < $4 AND served_in(r.organization_id, $5)",
    )
    .bind(&organizations)
    .bind(&ids)
    .bind(time(now))
    .bind(time(now.plus_millis(-pause_ms)))
    .bind(pool)
    .execute(store.feed())
    .await?;
    Ok(())
}

/// Claims at most `limit` rules whose issuers' keys are due, until `until`.
///
/// # Errors
/// When the database is away.
pub async fn claim(store: &Store, now: Timestamp, until: Timestamp, limit: u16) -> Result<Vec<Due>> {
    let rows: Vec<(Uuid, Uuid, String, i32)> = sqlx::query_as(
        "WITH due AS (
             SELECT organization_id, trust_rule_id FROM trust_rules
             WHERE discovered AND next_at <= $1 ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         UPDATE trust_rules r SET next_at = $2 FROM due
         WHERE r.organization_id = due.organization_id AND r.trust_rule_id = due.trust_rule_id
         RETURNING r.organization_id, r.trust_rule_id, r.issuer, r.failures",
    )
    .bind(time(now))
    .bind(time(until))
    .bind(i64::from(limit))
    .fetch_all(store.feed())
    .await?;
    let due = |(organization, id, issuer, failures): (Uuid, Uuid, String, i32)| Due {
        organization_id: OrganizationId::from_uuid(organization),
        id: TrustRuleId::from_uuid(id),
        issuer,
        failures: failures.unsigned_abs(),
    };
    Ok(rows.into_iter().map(due).collect())
}

/// Records what came of fetching a rule's keys: `error` is one word of a closed list.
///
/// # Errors
/// When the database is away: the claim runs out, and they are fetched again.
pub async fn record(
    store: &Store,
    due: &Due,
    error: Option<&str>,
    now: Timestamp,
    next: Timestamp,
) -> Result<()> {
    sqlx::query(
        "UPDATE trust_rules SET next_at = $4, last_error = $5,
             fetched_at = CASE WHEN $5 IS NULL THEN $3 ELSE fetched_at END,
             failed_at = CASE WHEN $5 IS NULL THEN failed_at ELSE $3 END,
             failures = CASE WHEN $5 IS NULL THEN 0 ELSE failures + 1 END
         WHERE organization_id = $1 AND trust_rule_id = $2",
    )
    .bind(due.organization_id.to_uuid())
    .bind(due.id.to_uuid())
    .bind(time(now))
    .bind(time(next))
    .bind(error)
    .execute(store.feed())
    .await?;
    Ok(())
}
