//! Who may have money of budgets in advance: noted here before a node takes any.
//!
//! A note holds under one epoch. The counters know how much each process has; this says who may
//! have anything at all, so that what a dead process had can come back once its journal is here.

use tidegate_types::{NodeId, OrganizationId, Timestamp};
use uuid::Uuid;

use super::{Ending, end_open};
use crate::Result;
use crate::connect::Store;
use crate::convert::{signed, time};

/// A node's process that asks for grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking<'a> {
    /// The node.
    pub node_id: NodeId,
    /// Its process.
    pub boot: u64,
    /// Its pool.
    pub pool: &'a str,
}

/// Notes that a process may have up to `percent` of each window's limit in advance. False: the
/// epoch is not the open one, or the process is not the node's present one.
///
/// # Errors
/// When the database is away.
pub async fn allow_grants(
    store: &Store,
    asking: &Asking<'_>,
    organization: OrganizationId,
    epoch: u64,
    percent: u8,
    now: Timestamp,
) -> Result<bool> {
    let noted = sqlx::query(
        "INSERT INTO budget_grants (organization_id, pool, node_id, boot, epoch, percent, granted_at)
         SELECT e.organization_id, e.pool, n.node_id, $4, e.epoch, $6, $7
         FROM budget_epochs e JOIN nodes n ON n.node_id = $3 AND n.pool = e.pool AND n.state = 'enrolled' AND n.boot <= $4
         WHERE e.organization_id = $1 AND e.pool = $2 AND e.epoch = $5 AND e.state = 'open'
         ON CONFLICT (organization_id, pool, node_id, boot)
             DO UPDATE SET epoch = excluded.epoch, percent = excluded.percent, granted_at = excluded.granted_at",
    )
    .bind(organization.to_uuid())
    .bind(asking.pool)
    .bind(asking.node_id.to_uuid())
    .bind(signed(asking.boot))
    .bind(signed(epoch))
    .bind(i16::from(percent))
    .bind(time(now))
    .execute(store.feed())
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// A process says that it has nothing in advance any more, and takes nothing.
///
/// # Errors
/// When the database is away.
pub async fn return_grants(store: &Store, asking: &Asking<'_>) -> Result<u64> {
    let gone = sqlx::query("DELETE FROM budget_grants WHERE node_id = $1 AND boot = $2")
        .bind(asking.node_id.to_uuid())
        .bind(signed(asking.boot))
        .execute(store.feed())
        .await?;
    Ok(gone.rows_affected())
}

/// When what a dead process had may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Every node of the pool has been heard of since.
    pub heard_since: Timestamp,
    /// Every node's present process has been running since.
    pub booted_before: Timestamp,
}

/// Brings back what dead processes had in advance: their node has started anew or is out. The
/// evidence is that their journal is here: the organization's epoch is ended, and the next one
/// opens from the books once every node has shipped. For that second all nodes of the pool are
/// needed: while one of them is away, or has only just started and may fall again, nothing is done,
/// and what is out stays out. At most `most` organizations a round; returns those whose counters
/// open anew.
///
/// # Errors
/// When the database is away.
pub async fn reclaim_grants(
    store: &Store,
    quiet: Quiet,
    now: Timestamp,
    most: u32,
) -> Result<Vec<OrganizationId>> {
    let dead: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT DISTINCT g.organization_id FROM budget_grants g
         JOIN nodes n USING (node_id)
         JOIN budget_epochs e ON e.organization_id = g.organization_id AND e.pool = g.pool AND e.epoch = g.epoch
             AND e.state = 'open'
         WHERE (n.state <> 'enrolled' OR n.boot > g.boot) AND NOT EXISTS (
             SELECT FROM nodes a WHERE a.pool = g.pool AND a.state = 'enrolled'
                 AND (a.last_seen < $1 OR a.booted_at > $2))
         ORDER BY 1 LIMIT $3",
    )
    .bind(time(quiet.heard_since))
    .bind(time(quiet.booted_before))
    .bind(i64::from(most))
    .fetch_all(store.feed())
    .await?;
    let mut reopened = Vec::new();
    for (organization,) in dead {
        let organization = OrganizationId::from_uuid(organization);
        let ended = end_open(store, organization, quiet.heard_since, now, Ending::Reclaimed).await?;
        if !ended.is_empty() {
            reopened.push(organization);
        }
    }
    Ok(reopened)
}
