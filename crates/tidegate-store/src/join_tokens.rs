//! Join tokens: single use, for one pool. Only their hash is kept. An answer that got lost may be asked for again.

use tidegate_types::{NodeId, Timestamp};

use uuid::Uuid;

use crate::change::Change;
use crate::connect::Store;
use crate::convert::time;
use crate::fleet::{self, Enrolment};
use crate::{Result, StoreError};

/// Makes a join token; `token_hash` is SHA-256 of its text. For platform administrators.
///
/// # Errors
/// [`crate::StoreError::Dangling`] for an unknown pool.
pub async fn insert(
    change: &mut Change,
    token_hash: &[u8; 32],
    pool: &str,
    expires_at: Timestamp,
) -> Result<()> {
    let (who, now) = (change.who().to_string(), time(change.now()));
    sqlx::query(
        "INSERT INTO join_tokens (token_hash, pool, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(token_hash.as_slice())
    .bind(pool)
    .bind(who)
    .bind(now)
    .bind(time(expires_at))
    .execute(change.connection())
    .await?;
    Ok(())
}

/// What a token that may be used is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Where its node will be.
    pub pool: String,
    /// The node that was enrolled by it already, when its answer may never have arrived: it has not spoken, and
    /// whoever asks shows the same sealing key.
    pub enrolled: Option<NodeId>,
}

/// What a token is good for, without using it up; `None` when it is unknown, used by somebody else or expired.
///
/// # Errors
/// When the database is away.
pub async fn offer(
    store: &Store,
    token_hash: &[u8; 32],
    sealing_key: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Offer>> {
    let row: Option<(String, Option<Uuid>)> = sqlx::query_as(
        "SELECT t.pool, t.used_by FROM join_tokens t LEFT JOIN nodes n ON n.node_id = t.used_by
         WHERE t.token_hash = $1 AND t.expires_at > $3 AND (t.used_by IS NULL
             OR (n.sealing_key = $2 AND n.last_seen IS NULL AND n.state = 'enrolled'))",
    )
    .bind(token_hash.as_slice())
    .bind(sealing_key.as_slice())
    .bind(time(now))
    .fetch_optional(store.feed())
    .await?;
    Ok(row.map(|(pool, enrolled)| Offer { pool, enrolled: enrolled.map(NodeId::from_uuid) }))
}

/// Uses a token up and enrols its node, both or neither.
///
/// # Errors
/// [`StoreError::NotFound`] when the token was used by another node meanwhile, or has expired; nothing is
/// changed then.
pub async fn redeem(
    store: &Store,
    token_hash: &[u8; 32],
    node: &Enrolment<'_>,
    now: Timestamp,
) -> Result<()> {
    let mut tx = store.feed().begin().await?;
    let used = sqlx::query(
        "UPDATE join_tokens SET used_by = $2 WHERE token_hash = $1 AND expires_at > $3
             AND (used_by IS NULL OR used_by = $2)",
    )
    .bind(token_hash.as_slice())
    .bind(node.node_id.to_uuid())
    .bind(time(now))
    .execute(&mut *tx)
    .await?;
    if used.rows_affected() == 0 {
        return Err(StoreError::NotFound);
    }
    fleet::write(&mut *tx, node, None, now).await?;
    tx.commit().await?;
    Ok(())
}
