//! Records that the store has acknowledged once and lacks: it was restored to an earlier state, and
//! the node no longer holds them. Each gap is written down before its lane goes on.

use sqlx::postgres::PgConnection;
use tidegate_types::{NodeId, Timestamp};

use crate::Result;
use crate::connect::Store;
use crate::convert::{signed, time, unsigned};
use crate::intake::{LaneMark, lock_node};

/// How far the lanes are stored that a node names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resumed {
    /// Every lane that was named, with its position.
    pub marks: Vec<LaneMark>,
    /// Records that were found to be missing, all lanes together.
    pub missing: u64,
}

/// Takes up a node's lanes where the store is. `held`: the first sequence of each lane that the node
/// still holds; a lane whose position lies further back continues there, and what lies between is
/// written down as missing. Repeating it is harmless.
///
/// # Errors
/// [`crate::StoreError::Dangling`] for a node that is not enrolled;
/// [`crate::StoreError::Unavailable`]: nothing was changed.
pub async fn resume(store: &Store, node: NodeId, held: &[LaneMark], now: Timestamp) -> Result<Resumed> {
    let mut tx = store.feed().begin().await?;
    lock_node(&mut tx, node.to_uuid()).await?;
    let mut resumed = Resumed::default();
    for oldest in held {
        let stored: Option<(i64,)> =
            sqlx::query_as("SELECT sequence FROM node_lanes WHERE node_id = $1 AND boot = $2 AND lane = $3")
                .bind(node.to_uuid())
                .bind(signed(oldest.boot))
                .bind(i32::from(oldest.lane))
                .fetch_optional(&mut *tx)
                .await?;
        let stored = stored.map_or(0, |(sequence,)| unsigned(sequence));
        let before = oldest.sequence.saturating_sub(1);
        if before > stored {
            note(&mut tx, node, *oldest, stored + 1, now).await?;
            resumed.missing = resumed.missing.saturating_add(before - stored);
        }
        resumed.marks.push(LaneMark { sequence: stored.max(before), ..*oldest });
    }
    tx.commit().await?;
    Ok(resumed)
}

/// Writes a gap down and moves the lane's position behind it.
async fn note(
    connection: &mut PgConnection,
    node: NodeId,
    oldest: LaneMark,
    first: u64,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "WITH lane AS (
             INSERT INTO node_lanes (node_id, boot, lane, sequence) VALUES ($1, $2, $3, $5)
             ON CONFLICT (node_id, boot, lane) DO UPDATE SET sequence = excluded.sequence)
         INSERT INTO missing_records (node_id, boot, lane, first_missing, last_missing, noted_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(node.to_uuid())
    .bind(signed(oldest.boot))
    .bind(i32::from(oldest.lane))
    .bind(signed(first))
    .bind(signed(oldest.sequence.saturating_sub(1)))
    .bind(time(now))
    .execute(connection)
    .await?;
    Ok(())
}
