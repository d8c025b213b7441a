//! Identities made ahead, for nodes that start while they cannot enrol. One is no node until it connects.

use chrono::{DateTime, Utc};
use tidegate_types::{NodeId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::connect::Store;
use crate::convert::{bytes32, time, timestamp};
use crate::fleet::{self, Enrolment};

/// Adds one.
///
/// # Errors
/// When the database is away; [`crate::StoreError::Dangling`] for an unknown pool.
pub async fn insert(store: &Store, node: &Enrolment<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO reserves (node_id, pool, certificate_serial, certificate_expires_at, sealing_key)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(node.node_id.to_uuid())
    .bind(node.pool)
    .bind(node.certificate_serial)
    .bind(time(node.certificate_expires_at))
    .bind(node.sealing_key.as_slice())
    .execute(store.feed())
    .await?;
    Ok(())
}

/// Those of a pool that have not connected.
///
/// # Errors
/// When the database is away.
pub async fn of_pool(store: &Store, pool: &str) -> Result<Vec<NodeId>> {
    let rows: Vec<(Uuid,)> = sqlx::query_as("SELECT node_id FROM reserves WHERE pool = $1")
        .bind(pool)
        .fetch_all(store.feed())
        .await?;
    Ok(rows.into_iter().map(|(node,)| NodeId::from_uuid(node)).collect())
}

/// Forgets those whose certificate has ended.
///
/// # Errors
/// When the database is away.
pub async fn forget_expired(store: &Store, now: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM reserves WHERE certificate_expires_at < $1")
        .bind(time(now))
        .execute(store.feed())
        .await?;
    Ok(())
}

/// A reserve has connected: from now on it is a node like any other. False: there is none of this id.
///
/// # Errors
/// When the database is away.
pub async fn join(store: &Store, node_id: NodeId, now: Timestamp) -> Result<bool> {
    let mut tx = store.feed().begin().await?;
    let row: Option<(String, String, DateTime<Utc>, Vec<u8>)> = sqlx::query_as(
        "DELETE FROM reserves WHERE node_id = $1
         RETURNING pool, certificate_serial, certificate_expires_at, sealing_key",
    )
    .bind(node_id.to_uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((pool, serial, expires, sealing_key)) = row else { return Ok(false) };
    let node = Enrolment {
        node_id,
        pool: &pool,
        name: "reserve",
        certificate_serial: &serial,
        certificate_expires_at: timestamp(expires),
        sealing_key: bytes32(&sealing_key, "sealing key")?,
    };
    fleet::write(&mut *tx, &node, None, now).await?;
    tx.commit().await?;
    Ok(true)
}
