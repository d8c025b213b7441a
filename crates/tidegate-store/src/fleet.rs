//! The fleet: which nodes there are, what they hold, what they have shipped.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_types::resource::ResourceKey;
use tidegate_types::{NodeId, OrganizationId, Position, Timestamp};
use uuid::Uuid;

use crate::actor::SystemActor;
use crate::change::{AuditNote, Change};
use crate::connect::Store;
use crate::convert::{
    bytes32, from_json, from_name, name_of, positions, signed, time, timestamp, to_json, unsigned,
};
use crate::tenant::TenantTx;
use crate::{Result, StoreError};

/// Whether a node may connect, and whether money waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// May connect.
    Enrolled,
    /// Has shipped everything and ended for good.
    Drained,
    /// May not connect any more.
    Revoked,
}

/// A node as it is enrolled, or its certificate renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment<'a> {
    /// Identity.
    pub node_id: NodeId,
    /// Its pool.
    pub pool: &'a str,
    /// Name for people.
    pub name: &'a str,
    /// Serial number of its certificate, hexadecimal.
    pub certificate_serial: &'a str,
    /// When the certificate expires.
    pub certificate_expires_at: Timestamp,
    /// X25519 public key that pool keys are sealed to.
    pub sealing_key: [u8; 32],
}

/// A resource that a node refuses to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The resource.
    pub key: ResourceKey,
    /// Which version of it.
    pub n: u64,
    /// What is wrong; without secrets.
    pub reason: String,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heartbeat {
    /// Start of its process, microseconds since the unix epoch.
    pub boot: u64,
    /// Version of its software.
    pub software_version: String,
    /// Where its gateway listens, for display.
    pub gateway_address: String,
    /// What it has applied.
    pub applied: Position,
    /// Positions such that every journal record written before they were applied is stored.
    pub shipped: Position,
    /// What it refuses at this moment.
    pub rejections: Vec<Rejection>,
    /// Journal records not yet acknowledged.
    pub journal_pending_records: u64,
    /// Their size.
    pub journal_pending_bytes: u64,
    /// Seconds until the journal is full at the present rate.
    pub journal_horizon_seconds: u64,
    /// Calls in flight.
    pub in_flight_calls: u32,
    /// It takes no new calls.
    pub draining: bool,
    /// How its limiter works: `healthy`, `away` or `memory`.
    pub limiter_mode: String,
    /// Calls that it answered since its start, and how many of them with 5xx; `None`: its release does not tell.
    pub answers: Option<(u64, u64)>,
}

/// A node of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Identity.
    pub id: NodeId,
    /// Its pool.
    pub pool: String,
    /// Name for people.
    pub name: String,
    /// Whether it may connect.
    pub state: NodeState,
    /// Since when it is enrolled.
    pub enrolled_at: Timestamp,
    /// Serial number of its newest certificate.
    pub certificate_serial: String,
    /// When that expires.
    pub certificate_expires_at: Timestamp,
    /// X25519 public key that pool keys are sealed to.
    pub sealing_key: [u8; 32],
    /// Its last heartbeat; `None` until the first.
    pub last_seen: Option<Timestamp>,
    /// What it said then.
    pub heartbeat: Heartbeat,
    /// Its journal records that are lost: acknowledged before the database was restored to an
    /// earlier state, and no longer held by the node ([`crate::missing`]).
    pub missing_records: u64,
}

/// Adds a node, or renews its certificate and sealing key.
///
/// # Errors
/// [`StoreError::NotFound`] for a node that is revoked or drained.
pub async fn enrol(store: &Store, node: &Enrolment<'_>, now: Timestamp) -> Result<()> {
    enrol_in_pod(store, node, None, now).await
}

/// The same for a node in a Kubernetes pod, which has one identity.
///
/// # Errors
/// As [`enrol`]; [`StoreError::Taken`] when another node of this pod is enrolled.
pub async fn enrol_in_pod(
    store: &Store,
    node: &Enrolment<'_>,
    pod_uid: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    write(store.feed(), node, pod_uid, now).await
}

/// Writes it, also within a transaction.
pub(crate) async fn write(
    database: impl sqlx::PgExecutor<'_>,
    node: &Enrolment<'_>,
    pod_uid: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let enrolled = sqlx::query(
        "INSERT INTO nodes AS n (node_id, pool, name, state, enrolled_at, certificate_serial, certificate_expires_at,
             sealing_key, pod_uid) VALUES ($1, $2, $3, 'enrolled', $4, $5, $6, $7, $8)
         ON CONFLICT (node_id) DO UPDATE SET certificate_serial = excluded.certificate_serial,
             certificate_expires_at = excluded.certificate_expires_at, sealing_key = excluded.sealing_key
             WHERE n.state = 'enrolled'",
    )
    .bind(node.node_id.to_uuid())
    .bind(node.pool)
    .bind(node.name)
    .bind(time(now))
    .bind(node.certificate_serial)
    .bind(time(node.certificate_expires_at))
    .bind(node.sealing_key.as_slice())
    .bind(pod_uid)
    .execute(database)
    .await?;
    if enrolled.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound) }
}

/// The enrolled node of a pod, and whether it has ever spoken.
///
/// # Errors
/// When the database is away.
pub async fn of_pod(store: &Store, pod_uid: &str) -> Result<Option<(NodeId, bool)>> {
    let row: Option<(Uuid, bool)> = sqlx::query_as(
        "SELECT node_id, last_seen IS NOT NULL FROM nodes WHERE pod_uid = $1 AND state = 'enrolled'",
    )
    .bind(pod_uid)
    .fetch_optional(store.feed())
    .await?;
    Ok(row.map(|(node, spoke)| (NodeId::from_uuid(node), spoke)))
}

/// Stores what a node says of itself. Positions of `shipped` never go back.
///
/// # Errors
/// [`StoreError::NotFound`] for a node that is unknown, revoked or drained: close its connection.
pub async fn heartbeat(store: &Store, node: NodeId, said: &Heartbeat, now: Timestamp) -> Result<()> {
    let seen = sqlx::query(
        "UPDATE nodes SET booted_at = CASE WHEN boot IS DISTINCT FROM $2 THEN $5 ELSE booted_at END,
             boot = $2, software_version = $3, gateway_address = $4, last_seen = $5, applied = $6,
             shipped = (SELECT array_agg(greatest(o, s) ORDER BY place)
                        FROM unnest(nodes.shipped, $7::bigint[]) WITH ORDINALITY AS p (o, s, place)),
             rejections = $8, journal_pending_records = $9, journal_pending_bytes = $10,
             journal_horizon_seconds = $11, in_flight_calls = $12, draining = $13, limiter_mode = $14,
             answers = $15, answers_failed = $16
         WHERE node_id = $1 AND state = 'enrolled'",
    )
    .bind(node.to_uuid())
    .bind(signed(said.boot))
    .bind(&said.software_version)
    .bind(&said.gateway_address)
    .bind(time(now))
    .bind(counts(&said.applied))
    .bind(counts(&said.shipped))
    .bind(to_json(&said.rejections, "rejections")?)
    .bind(signed(said.journal_pending_records))
    .bind(signed(said.journal_pending_bytes))
    .bind(signed(said.journal_horizon_seconds))
    .bind(i32::try_from(said.in_flight_calls).unwrap_or(i32::MAX))
    .bind(said.draining)
    .bind(&said.limiter_mode)
    .bind(said.answers.map(|(answers, _)| signed(answers)))
    .bind(said.answers.map(|(_, failed)| signed(failed)))
    .execute(store.feed())
    .await?;
    if seen.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound) }
}

fn counts(position: &Position) -> Vec<i64> {
    position.iter().map(|revision| signed(revision.n)).collect()
}

#[derive(sqlx::FromRow)]
struct Row {
    node_id: Uuid,
    pool: String,
    name: String,
    state: String,
    enrolled_at: DateTime<Utc>,
    certificate_serial: String,
    certificate_expires_at: DateTime<Utc>,
    sealing_key: Vec<u8>,
    boot: Option<i64>,
    software_version: String,
    gateway_address: String,
    last_seen: Option<DateTime<Utc>>,
    applied: Vec<i64>,
    shipped: Vec<i64>,
    rejections: Value,
    journal_pending_records: i64,
    journal_pending_bytes: i64,
    journal_horizon_seconds: i64,
    in_flight_calls: i32,
    draining: bool,
    limiter_mode: String,
    answers: Option<i64>,
    answers_failed: Option<i64>,
    missing_records: i64,
}

fn node(row: Row) -> Result<Node> {
    Ok(Node {
        id: NodeId::from_uuid(row.node_id),
        pool: row.pool,
        name: row.name,
        state: from_name(&row.state)?,
        enrolled_at: timestamp(row.enrolled_at),
        certificate_serial: row.certificate_serial,
        certificate_expires_at: timestamp(row.certificate_expires_at),
        sealing_key: bytes32(&row.sealing_key, "sealing key")?,
        last_seen: row.last_seen.map(timestamp),
        heartbeat: Heartbeat {
            boot: unsigned(row.boot.unwrap_or(0)),
            software_version: row.software_version,
            gateway_address: row.gateway_address,
            applied: positions(&row.applied)?,
            shipped: positions(&row.shipped)?,
            rejections: from_json(row.rejections, "rejections")?,
            journal_pending_records: unsigned(row.journal_pending_records),
            journal_pending_bytes: unsigned(row.journal_pending_bytes),
            journal_horizon_seconds: unsigned(row.journal_horizon_seconds),
            in_flight_calls: row.in_flight_calls.unsigned_abs(),
            draining: row.draining,
            limiter_mode: row.limiter_mode,
            answers: row
                .answers
                .zip(row.answers_failed)
                .map(|(all, failed)| (unsigned(all), unsigned(failed))),
        },
        missing_records: unsigned(row.missing_records),
    })
}

/// Every node that was ever enrolled, in order of enrolment. Platform roles see them.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<Node>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT n.*, (SELECT least(coalesce(sum(m.last_missing - m.first_missing + 1), 0), 9223372036854775807)
             FROM missing_records m WHERE m.node_id = n.node_id)::bigint AS missing_records
         FROM nodes n ORDER BY n.node_id",
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(node).collect()
}

/// The node, as the push plane sees it (to check a certificate, to seal a pool key).
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(store: &Store, id: NodeId) -> Result<Node> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT n.*, (SELECT least(coalesce(sum(m.last_missing - m.first_missing + 1), 0), 9223372036854775807)
             FROM missing_records m WHERE m.node_id = n.node_id)::bigint AS missing_records
         FROM nodes n WHERE n.node_id = $1",
    )
    .bind(id.to_uuid())
    .fetch_optional(store.feed())
    .await?;
    node(row.ok_or(StoreError::NotFound)?)
}

/// Live nodes of every pool: enrolled, not draining, heard of since `since`. Pools without any
/// have 0.
///
/// # Errors
/// When the database is away.
pub async fn live_nodes(store: &Store, since: Timestamp) -> Result<Vec<(String, u32)>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT p.pool, count(n.node_id) FROM pools p
         LEFT JOIN nodes n ON n.pool = p.pool AND n.state = 'enrolled' AND NOT n.draining AND n.last_seen >= $1
         GROUP BY p.pool ORDER BY p.pool",
    )
    .bind(time(since))
    .fetch_all(store.feed())
    .await?;
    Ok(rows.into_iter().map(|(pool, live)| (pool, u32::try_from(live).unwrap_or(u32::MAX))).collect())
}

/// Takes a node out for good. Budgets no longer wait for what it has not shipped: a drained node
/// has shipped all, a revoked one is given up. For platform administrators.
///
/// # Errors
/// [`StoreError::NotFound`], also when it is out already.
pub async fn retire(change: &mut Change, id: NodeId, state: NodeState) -> Result<()> {
    let retired = sqlx::query("UPDATE nodes SET state = $2 WHERE node_id = $1 AND state = 'enrolled'")
        .bind(id.to_uuid())
        .bind(name_of(&state)?)
        .execute(change.connection())
        .await?;
    if retired.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound) }
}

/// A node says that it has shipped everything and ended for good.
///
/// # Errors
/// [`StoreError::NotFound`] when it is out already.
pub async fn retire_itself(store: &Store, id: NodeId, now: Timestamp) -> Result<()> {
    let actor = SystemActor::new("fleet").acting_for(OrganizationId::SYSTEM);
    let mut change = store.change(&actor, now).await?;
    retire(&mut change, id, NodeState::Drained).await?;
    let note = AuditNote { action: "node.retired", object: id.to_string(), before: None, after: None };
    change.commit(note).await?;
    Ok(())
}
