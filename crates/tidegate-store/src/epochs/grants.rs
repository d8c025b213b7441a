//! Who may have money of budgets in advance: noted here before a node takes any.
//!
//! A note holds under one epoch. The counters know how much each process has; this says who may
//! have anything at all, so that what a dead process had can come back once its journal is here:
//! from what the books say that it used, or with the next epoch where they do not know it all.

use serde_json::Value;
use tidegate_types::resource::OpeningBalance;
use tidegate_types::{NodeId, OrganizationId, Timestamp};
use uuid::Uuid;

use super::books::{SpendRow, balance};
use super::{Ending, end_open};
use crate::Result;
use crate::change::Change;
use crate::connect::Store;
use crate::convert::{from_json, signed, time, unsigned};

/// Most processes in one answer.
const MOST: i64 = 50;

/// A node's process that asks for grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking<'a> {
    /// The node.
    pub node_id: NodeId,
    /// Its process.
    pub boot: u64,
    /// Its pool.
    pub pool: &'a str,
    /// Its events say which attempts lie on what it has in advance.
    pub tells_apart: bool,
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
        "INSERT INTO budget_grants (organization_id, pool, node_id, boot, epoch, percent, granted_at, told_apart)
         SELECT e.organization_id, e.pool, n.node_id, $4, e.epoch, $6, $7, $8
         FROM budget_epochs e JOIN nodes n ON n.node_id = $3 AND n.pool = e.pool AND n.state = 'enrolled' AND n.boot <= $4
         WHERE e.organization_id = $1 AND e.pool = $2 AND e.epoch = $5 AND e.state = 'open'
         ON CONFLICT (organization_id, pool, node_id, boot)
             DO UPDATE SET epoch = excluded.epoch, percent = excluded.percent, granted_at = excluded.granted_at,
                 told_apart = excluded.told_apart",
    )
    .bind(organization.to_uuid())
    .bind(asking.pool)
    .bind(asking.node_id.to_uuid())
    .bind(signed(asking.boot))
    .bind(signed(epoch))
    .bind(i16::from(percent))
    .bind(time(now))
    .bind(asking.tells_apart)
    .execute(store.feed())
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// A process has nothing in advance any more, and takes nothing: of one organization's budgets, or
/// of any. It says so itself, or the next one does of one that is dead.
///
/// # Errors
/// When the database is away.
pub async fn return_grants(
    store: &Store,
    asking: &Asking<'_>,
    organization: Option<OrganizationId>,
) -> Result<u64> {
    let gone = sqlx::query(
        "WITH used AS (
             DELETE FROM advance_spend WHERE node_id = $1 AND boot = $2 AND organization_id = coalesce($3, organization_id))
         DELETE FROM budget_grants WHERE node_id = $1 AND boot = $2 AND organization_id = coalesce($3, organization_id)",
    )
    .bind(asking.node_id.to_uuid())
    .bind(signed(asking.boot))
    .bind(organization.map(OrganizationId::to_uuid))
    .execute(store.feed())
    .await?;
    Ok(gone.rows_affected())
}

/// Forgets what concerns earlier epochs.
pub(super) async fn forget_before(change: &mut Change, pool: &str, epoch: u64) -> Result<()> {
    let organization = change.organization();
    sqlx::query(
        "WITH gone AS (DELETE FROM budget_grants WHERE organization_id = $1 AND pool = $2 AND epoch < $3)
         DELETE FROM advance_spend a USING nodes n
         WHERE a.organization_id = $1 AND n.node_id = a.node_id AND n.pool = $2 AND a.epoch < $3",
    )
    .bind(organization)
    .bind(pool)
    .bind(signed(epoch))
    .execute(change.connection())
    .await?;
    Ok(())
}

/// What a dead process used of what it had in advance under the open epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedGrants {
    /// Of whose budgets.
    pub organization_id: OrganizationId,
    /// The epoch.
    pub epoch: u64,
    /// The process.
    pub boot: u64,
    /// What its attempts came to that lay on it, by window.
    pub used: Vec<OpeningBalance>,
}

/// What a node's processes of these boots used of what they had in advance. They are dead, and all
/// that they wrote is here: who asks says so. Only processes of which the books know everything: that
/// told which attempts lay on it, to control planes that counted them (the ends that later processes wrote
/// for them included), that left no attempt without an end, and of which no record was lost or refused.
///
/// # Errors
/// When the database is away.
pub async fn review_grants(
    store: &Store,
    node: NodeId,
    boots: std::ops::Range<u64>,
) -> Result<Vec<EndedGrants>> {
    let rows: Vec<(Uuid, i64, i64, Value)> = sqlx::query_as(
        "SELECT g.organization_id, g.epoch, g.boot,
             coalesce((SELECT jsonb_agg(jsonb_build_object('budget_id', a.budget_id, 'window_start', a.window_start,
                 'window_end', a.window_end, 'spent', a.spent, 'unresolved', a.unresolved)
                 ORDER BY a.budget_id, a.window_start)
             FROM advance_spend a WHERE (a.organization_id, a.node_id, a.boot, a.epoch)
                 = (g.organization_id, g.node_id, g.boot, g.epoch)), '[]')
         FROM budget_grants g
         JOIN budget_epochs e ON e.organization_id = g.organization_id AND e.pool = g.pool AND e.epoch = g.epoch
             AND e.state = 'open'
         WHERE g.node_id = $1 AND g.boot >= $2 AND g.boot < $3 AND g.told_apart
             AND NOT EXISTS (SELECT FROM open_attempts o WHERE o.organization_id = g.organization_id
                 AND o.node_id = g.node_id AND o.boot = g.boot)
             AND NOT EXISTS (SELECT FROM node_lanes l WHERE l.node_id = g.node_id AND l.boot >= g.boot
                 AND l.apart IS DISTINCT FROM l.sequence)
             AND NOT EXISTS (SELECT FROM missing_records m WHERE m.node_id = g.node_id AND m.boot = g.boot)
             AND NOT EXISTS (SELECT FROM refused_records r WHERE r.node_id = g.node_id AND r.boot = g.boot)
         ORDER BY g.organization_id, g.boot LIMIT $4",
    )
    .bind(node.to_uuid())
    .bind(signed(boots.start))
    .bind(signed(boots.end))
    .bind(MOST)
    .fetch_all(store.feed())
    .await?;
    rows.into_iter()
        .map(|(organization, epoch, boot, used)| {
            let used: Vec<SpendRow> = from_json(used, "spend")?;
            Ok(EndedGrants {
                organization_id: OrganizationId::from_uuid(organization),
                epoch: unsigned(epoch),
                boot: unsigned(boot),
                used: used.iter().map(balance).collect(),
            })
        })
        .collect()
}

/// When what a dead process had may come back with the next epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Every node of the pool has been heard of since.
    pub heard_since: Timestamp,
    /// Every node's present process has been running since.
    pub booted_before: Timestamp,
}

/// Brings back what dead processes had in advance and nobody else brought back: their node has
/// started anew and the books do not know it all, or it is out. The evidence is that their journal
/// is here: the organization's epoch is ended, and the next one opens from the books once every
/// node has shipped. For that second all nodes of the pool are needed: while one of them is away, or
/// has only just started and may fall again, nothing is done, and what is out stays out. At most
/// `most` organizations a round; returns those whose counters open anew.
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
