//! Watermarks: how far each lane of a node's journal is stored without a gap.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnection;
use tidegate_types::NodeId;

use super::{LaneMark, Shipped};
use crate::Result;
use crate::connect::Store;
use crate::convert::{signed, unsigned};

/// Advances the watermarks of the batch's lanes over what is stored without a gap.
pub(super) async fn advance(
    connection: &mut PgConnection,
    node: NodeId,
    batch: &[Shipped],
) -> Result<Vec<LaneMark>> {
    let mut lanes: BTreeMap<(u64, u16), BTreeSet<u64>> = BTreeMap::new();
    for shipped in batch {
        lanes.entry((shipped.key.boot, shipped.key.lane)).or_default().insert(shipped.key.sequence);
    }
    let mut marks = Vec::with_capacity(lanes.len());
    for ((boot, lane), sequences) in lanes {
        // Makes the row when there is none; the node's lock is held, nobody else writes it.
        let (stored,): (i64,) = sqlx::query_as(
            "INSERT INTO node_lanes AS l (node_id, boot, lane, sequence, apart) VALUES ($1, $2, $3, 0, 0)
             ON CONFLICT (node_id, boot, lane) DO UPDATE SET sequence = l.sequence RETURNING sequence",
        )
        .bind(node.to_uuid())
        .bind(signed(boot))
        .bind(i32::from(lane))
        .fetch_one(&mut *connection)
        .await?;
        let start = unsigned(stored);
        let end = sequences
            .into_iter()
            .fold(start, |end, next| if next == end.saturating_add(1) { next } else { end });
        if end > start {
            sqlx::query("UPDATE node_lanes SET sequence = $4, apart = apart + $4 - sequence WHERE node_id = $1 AND boot = $2 AND lane = $3")
                .bind(node.to_uuid())
                .bind(signed(boot))
                .bind(i32::from(lane))
                .bind(signed(end))
                .execute(&mut *connection)
                .await?;
        }
        marks.push(LaneMark { boot, lane, sequence: end });
    }
    Ok(marks)
}

/// Every lane that a node has shipped from (sent when its stream opens).
///
/// # Errors
/// When the database is away.
pub async fn marks(store: &Store, node: NodeId) -> Result<Vec<LaneMark>> {
    let rows: Vec<(i64, i32, i64)> =
        sqlx::query_as("SELECT boot, lane, sequence FROM node_lanes WHERE node_id = $1 ORDER BY boot, lane")
            .bind(node.to_uuid())
            .fetch_all(store.feed())
            .await?;
    let marks = rows.into_iter().map(|(boot, lane, sequence)| LaneMark {
        boot: unsigned(boot),
        lane: u16::try_from(lane).unwrap_or(u16::MAX),
        sequence: unsigned(sequence),
    });
    Ok(marks.collect())
}
