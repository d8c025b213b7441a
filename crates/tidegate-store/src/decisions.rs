//! Signed decisions: links of each organization's chains, as nodes sealed them. The decisions themselves are
//! made of the call records again; this crate verifies nothing.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use tidegate_types::usage::CallRecord;
use tidegate_types::{CallId, NodeId, OrganizationId, Timestamp};
use uuid::Uuid;

use crate::calls;
use crate::connect::Store;
use crate::convert::{bytes32, signed, time, timestamp, unsigned};
use crate::tenant::TenantTx;
use crate::{Result, StoreError};

/// One organization's decisions in a sealed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedLink {
    /// Whose.
    pub organization_id: OrganizationId,
    /// Counts the organization's links of the boot, from 1.
    pub number: u64,
    /// Hash of the link before.
    pub previous: [u8; 32],
    /// The calls in order.
    pub calls: Vec<CallId>,
    /// Hash of their decisions.
    pub records: [u8; 32],
    /// Neighbours on the way to the root: a side (0 left, 1 right) and a hash, one after the other.
    pub path: Vec<u8>,
}

/// A batch as a node sealed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBatch {
    /// The process of the node.
    pub boot: u64,
    /// Counts the seals of the boot, from 1.
    pub number: u64,
    /// When it was sealed.
    pub at: Timestamp,
    /// Signature over the root.
    pub signature: Vec<u8>,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The node's certificate, DER.
    pub certificate: Vec<u8>,
    /// Its links.
    pub links: Vec<SealedLink>,
}

/// A link with its seal, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLink {
    /// Who sealed it.
    pub node_id: NodeId,
    /// The process.
    pub boot: u64,
    /// Number of the seal.
    pub seal: u64,
    /// When it was sealed.
    pub at: Timestamp,
    /// Signature over the root.
    pub signature: Vec<u8>,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The link.
    pub link: SealedLink,
}

/// Number of the last seal of a node's process; 0 when there is none.
///
/// # Errors
/// When the database is away.
pub async fn last_seal(store: &Store, node: NodeId, boot: u64) -> Result<u64> {
    let row: Option<(i64,)> =
        sqlx::query_as("SELECT seal FROM decision_marks WHERE node_id = $1 AND boot = $2")
            .bind(node.to_uuid())
            .bind(signed(boot))
            .fetch_optional(store.feed())
            .await?;
    Ok(row.map_or(0, |(seal,)| unsigned(seal)))
}

/// Writes a batch's links. The node's lock is held.
pub(crate) async fn write(
    connection: &mut PgConnection,
    node: NodeId,
    batch: &SealedBatch,
    now: Timestamp,
) -> Result<()> {
    // Only the next one: a gap, or a second one of the same number, would break the chains.
    let advanced = sqlx::query(
        "INSERT INTO decision_marks AS m (node_id, boot, seal) SELECT $1, $2, $3 WHERE $3 = 1
             OR EXISTS (SELECT FROM decision_marks WHERE node_id = $1 AND boot = $2)
         ON CONFLICT (node_id, boot) DO UPDATE SET seal = $3 WHERE m.seal = $3 - 1",
    )
    .bind(node.to_uuid())
    .bind(signed(batch.boot))
    .bind(signed(batch.number))
    .execute(&mut *connection)
    .await?;
    if advanced.rows_affected() != 1 {
        return Err(StoreError::VersionConflict { current: signed(batch.number) });
    }
    sqlx::query(
        "INSERT INTO node_certificates (fingerprint, node_id, certificate, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(batch.fingerprint.as_slice())
    .bind(node.to_uuid())
    .bind(&batch.certificate)
    .bind(time(now))
    .execute(&mut *connection)
    .await?;
    for link in &batch.links {
        let calls: Vec<Uuid> = link.calls.iter().map(|call| call.to_uuid()).collect();
        sqlx::query(
            "INSERT INTO decision_links (organization_id, node_id, boot, number, seal, at, previous, calls, records,
                 path, signature, certificate) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(link.organization_id.to_uuid())
        .bind(node.to_uuid())
        .bind(signed(batch.boot))
        .bind(signed(link.number))
        .bind(signed(batch.number))
        .bind(time(batch.at))
        .bind(link.previous.as_slice())
        .bind(&calls)
        .bind(link.records.as_slice())
        .bind(&link.path)
        .bind(&batch.signature)
        .bind(batch.fingerprint.as_slice())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    node_id: Uuid,
    boot: i64,
    number: i64,
    seal: i64,
    at: DateTime<Utc>,
    previous: Vec<u8>,
    calls: Vec<Uuid>,
    records: Vec<u8>,
    path: Vec<u8>,
    signature: Vec<u8>,
    certificate: Vec<u8>,
}

fn kept(row: Row) -> Result<KeptLink> {
    Ok(KeptLink {
        node_id: NodeId::from_uuid(row.node_id),
        boot: unsigned(row.boot),
        seal: unsigned(row.seal),
        at: timestamp(row.at),
        signature: row.signature,
        certificate: row.certificate,
        link: SealedLink {
            organization_id: OrganizationId::from_uuid(row.organization_id),
            number: unsigned(row.number),
            previous: bytes32(&row.previous, "hash")?,
            calls: row.calls.into_iter().map(CallId::from_uuid).collect(),
            records: bytes32(&row.records, "hash")?,
            path: row.path,
        },
    })
}

/// The organization's links that were sealed in a time, chain by chain in their order, `most` at most: all
/// between the first and the last one of each chain.
///
/// # Errors
/// When the database is away.
pub async fn links(tx: &mut TenantTx, from: Timestamp, to: Timestamp, most: u32) -> Result<Vec<KeptLink>> {
    let rows: Vec<Row> = sqlx::query_as(
        "WITH span AS (
             SELECT node_id, boot, min(number) AS first, max(number) AS last FROM decision_links
             WHERE organization_id = $1 AND at >= $2 AND at < $3 GROUP BY node_id, boot)
         SELECT l.organization_id, l.node_id, l.boot, l.number, l.seal, l.at, l.previous, l.calls, l.records, l.path,
             l.signature, c.certificate
         FROM span s JOIN decision_links l ON l.organization_id = $1 AND l.node_id = s.node_id AND l.boot = s.boot
             AND l.number BETWEEN s.first AND s.last
         JOIN node_certificates c ON c.fingerprint = l.certificate
         ORDER BY l.node_id, l.boot, l.number LIMIT $4",
    )
    .bind(tx.organization())
    .bind(time(from))
    .bind(time(to))
    .bind(i64::from(most))
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(kept).collect()
}

/// The records of calls, those that are there, in any order.
///
/// # Errors
/// When the database is away.
pub async fn records(tx: &mut TenantTx, calls: &[CallId]) -> Result<Vec<CallRecord>> {
    calls::of(tx, calls).await
}
