//! What the control plane does in the background, one round at a time. The loops are in
//! `tidegate-treasury`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tidegate_types::resource::{PoolState, Resource, ResourceKind};
use tidegate_types::{NodeId, OrganizationId, Timestamp};
use uuid::Uuid;

use crate::actor::SystemActor;
use crate::change::AuditNote;
use crate::connect::Store;
use crate::convert::{from_json, time};
use crate::intake::{Books, HoldRow, add_to_budgets, lock_node};
use crate::{Result, fleet};

/// Lock number of the background jobs; any number of our own.
const LEAD: i64 = 0x7469_6465_6761_7465;
/// An attempt of a live node is given up so much later than one of an absent node.
const LIVE_GRACE_MS: i64 = 600_000;

/// The right to do the background jobs: one control plane has it. Ends with its connection.
#[derive(Debug)]
pub struct Lead {
    connection: PgConnection,
}

/// Takes the lead, if nobody has it.
///
/// # Errors
/// When the database is away.
pub async fn try_lead(store: &Store) -> Result<Option<Lead>> {
    let mut connection = store.feed().acquire().await?.detach();
    let (taken,): (bool,) =
        sqlx::query_as("SELECT pg_try_advisory_lock($1)").bind(LEAD).fetch_one(&mut connection).await?;
    if taken {
        return Ok(Some(Lead { connection }));
    }
    connection.close().await?;
    Ok(None)
}

impl Lead {
    /// Whether the lead is still ours: the connection that holds it answers.
    pub async fn is_held(&mut self) -> bool {
        self.connection.ping().await.is_ok()
    }

    /// Gives the lead up.
    pub async fn release(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "lead connection did not close in order");
        }
    }
}

/// Makes the partitions of yesterday and the `days` after it. Returns how many are new.
///
/// # Errors
/// When the database is away.
pub async fn ensure_partitions(store: &Store, now: Timestamp, days: u16) -> Result<i32> {
    let (made,): (i32,) = sqlx::query_as("SELECT ensure_partitions(($1 AT TIME ZONE 'UTC')::date - 1, $2)")
        .bind(time(now))
        .bind(i32::from(days) + 1)
        .fetch_one(store.feed())
        .await?;
    Ok(made)
}

/// What an operator wants to see of the books and of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loose {
    /// Attempts under way: money is held for them.
    pub open: i64,
    /// Attempts that did not end and were given up: counted as spent until their end is known.
    pub unresolved: i64,
    /// Differences between the books and providers' bills, told in the last day.
    pub differences: i64,
    /// Nodes that fell silent in the last day without having been told to end, or before all of their calls had ended.
    pub nodes_away: i64,
}

/// A node that was not heard of for so long is away. Live ones are written every two seconds.
const AWAY_MS: i64 = 30_000;
/// Who is away for longer was replaced, or somebody knows: nobody is told for ever.
const DAY_MS: i64 = 86_400_000;

/// Reads what is not settled, and who is missing.
///
/// # Errors
/// When the database is away.
pub async fn loose(store: &Store, now: Timestamp) -> Result<Loose> {
    let (open, unresolved, differences, nodes_away) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE NOT reaped), count(*) FILTER (WHERE reaped),
             (SELECT count(*) FROM notices WHERE kind = 'reconciliation.difference' AND at > $1),
             (SELECT count(*) FROM nodes n
                  WHERE n.state = 'enrolled' AND n.last_seen > $1 AND n.last_seen < $2
                      AND (NOT n.draining
                           OR EXISTS (SELECT FROM open_attempts o WHERE o.node_id = n.node_id AND NOT o.reaped)))
         FROM open_attempts",
    )
    .bind(time(now.plus_millis(-DAY_MS)))
    .bind(time(now.plus_millis(-AWAY_MS)))
    .fetch_one(store.feed())
    .await?;
    Ok(Loose { open, unresolved, differences, nodes_away })
}

/// Counts as unresolved what was held for attempts that will not end by themselves: their
/// deadline has passed and their node is away (not heard of since `absent_since`), was started
/// again or taken out. Attempts of live nodes follow after ten minutes. A final that comes later
/// puts it right. Returns how many attempts.
///
/// # Errors
/// When the database is away.
pub async fn reap(store: &Store, now: Timestamp, absent_since: Timestamp) -> Result<u64> {
    let nodes: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT DISTINCT node_id FROM open_attempts WHERE NOT reaped AND deadline < $1 ORDER BY node_id",
    )
    .bind(time(now))
    .fetch_all(store.feed())
    .await?;
    let mut reaped = 0;
    for (node,) in nodes {
        reaped += reap_node(store, NodeId::from_uuid(node), now, absent_since).await?;
    }
    Ok(reaped)
}

async fn reap_node(store: &Store, node: NodeId, now: Timestamp, absent_since: Timestamp) -> Result<u64> {
    let mut tx = store.feed().begin().await?;
    lock_node(&mut tx, node.to_uuid()).await?;
    let rows: Vec<(Uuid, Value)> = sqlx::query_as(
        "UPDATE open_attempts o SET reaped = true
         WHERE o.node_id = $1 AND NOT o.reaped AND o.deadline < $2 AND (o.deadline < $4 OR NOT EXISTS (
             SELECT FROM nodes n WHERE n.node_id = $1 AND n.state = 'enrolled' AND n.last_seen >= $3
                 AND n.boot <= o.boot))
         RETURNING o.organization_id, o.holds",
    )
    .bind(node.to_uuid())
    .bind(time(now))
    .bind(time(absent_since))
    .bind(time(now.plus_millis(-LIVE_GRACE_MS)))
    .fetch_all(&mut *tx)
    .await?;
    let mut books = Books::default();
    for (organization, holds) in &rows {
        let holds: Vec<HoldRow> = from_json(holds.clone(), "holds")?;
        for hold in holds {
            books.add_spend(*organization, hold, 0, hold.amount);
        }
    }
    add_to_budgets(&mut tx, &books.budgets, now).await?;
    tx.commit().await?;
    Ok(rows.len() as u64)
}

/// Publishes how many live nodes each pool has (heard of since `live_since`), where that changed.
/// Without `may_shrink` only growth is published: fewer nodes mean larger shares, so a count that
/// is too low is the harmful one. Returns how many pools changed.
///
/// # Errors
/// When the database is away.
pub async fn publish_pools(
    store: &Store,
    now: Timestamp,
    live_since: Timestamp,
    may_shrink: bool,
) -> Result<usize> {
    let actor = SystemActor::new("fleet").acting_for(OrganizationId::SYSTEM);
    let known: BTreeMap<String, u32> = {
        let mut tx = store.begin(&actor).await?;
        let pools = crate::resources(&mut tx, &[ResourceKind::Pool]).await?;
        pools
            .into_iter()
            .filter_map(|pool| match pool {
                Resource::Pool(state) => Some((state.name, state.live_nodes)),
                _ => None,
            })
            .collect()
    };
    let live = fleet::live_nodes(store, live_since).await?;
    let changed: Vec<PoolState> = live
        .into_iter()
        .map(|(name, live)| PoolState { name, live_nodes: live.max(1) })
        .filter(|pool| match known.get(&pool.name) {
            Some(known) => pool.live_nodes > *known || (may_shrink && pool.live_nodes < *known),
            None => true,
        })
        .collect();
    if changed.is_empty() {
        return Ok(0);
    }
    let mut change = store.change(&actor, now).await?;
    for pool in &changed {
        change.write(None, &Resource::Pool(pool.clone()), false)?;
    }
    let counts: Value = changed
        .iter()
        .map(|pool| (pool.name.clone(), json!(pool.live_nodes)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let note = AuditNote {
        action: "pool.live_nodes",
        object: "pools".to_owned(),
        before: None,
        after: Some(counts),
    };
    change.commit(note).await?;
    Ok(changed.len())
}

/// Deletes what has expired: idempotency keys, sessions, sign-in links, join tokens.
///
/// # Errors
/// When the database is away.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM idempotency_keys WHERE expires_at < $1")
        .bind(time(now))
        .execute(store.feed())
        .await?;
    sqlx::query("DELETE FROM join_tokens WHERE expires_at < $1")
        .bind(time(now))
        .execute(store.feed())
        .await?;
    // Counters of windows that ended are gone by then.
    sqlx::query("DELETE FROM advance_spend WHERE window_end < $1")
        .bind(now.plus_millis(-3 * 86_400_000).as_micros())
        .execute(store.feed())
        .await?;
    // Ended sessions are kept for a day, so that their end can be looked into.
    let yesterday = now.plus_millis(-86_400_000);
    sqlx::query("SELECT sign_in_sweep($1)").bind(time(yesterday)).execute(store.feed()).await?;
    Ok(())
}
