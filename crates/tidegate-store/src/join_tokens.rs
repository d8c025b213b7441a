//! Join tokens: single use, for one pool. Only their hash is kept.

use tidegate_types::{NodeId, Timestamp};

use crate::Result;
use crate::change::Change;
use crate::connect::Store;
use crate::convert::time;

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

/// Uses a token up for a node: its pool, or `None` when it is unknown, used or expired.
///
/// # Errors
/// When the database is away.
pub async fn redeem(
    store: &Store,
    token_hash: &[u8; 32],
    node: NodeId,
    now: Timestamp,
) -> Result<Option<String>> {
    let row: Option<(String,)> = sqlx::query_as(
        "UPDATE join_tokens SET used_by = $2 WHERE token_hash = $1 AND used_by IS NULL AND expires_at > $3 RETURNING pool",
    )
    .bind(token_hash.as_slice())
    .bind(node.to_uuid())
    .bind(time(now))
    .fetch_optional(store.feed())
    .await?;
    Ok(row.map(|(pool,)| pool))
}
