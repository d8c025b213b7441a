//! Budget epochs: who may write the live counters of an organization in a pool, and from what.
//!
//! absent → opening (a permit, 2 s) → open → burnt: the next epoch is published and waits until
//! every node of the pool has shipped what it had → opening → … A permit that lapses is burnt
//! too: its counters may have been written late, and spent from.

mod books;
mod grants;
mod review;

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_types::resource::{BudgetEpoch, OpenHold, OpeningBalance, Resource, ResourceKind};
use tidegate_types::{OrganizationId, Shard, Timestamp};

use crate::actor::SystemActor;
use crate::change::{AuditNote, Change};
use crate::connect::Store;
use crate::convert::{shard_index, signed, time, timestamp, unsigned};
use crate::{Result, StoreError, placement};

pub use grants::{Asking, EndedGrants, Quiet, allow_grants, reclaim_grants, return_grants, review_grants};
pub use review::{Known, review};

/// How long a permit is good for.
const PERMIT_MS: i64 = 2000;
/// A node that asks so soon after the opening has read the counters before it.
const SETTLED_MS: i64 = 1000;

/// Higher numbers are no epochs that ever were: nodes are not trusted with the count.
const LAST_FOUND: u64 = 1 << 40;

/// What a node found and asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The node's pool.
    pub pool: &'a str,
    /// Identity of the counter store's process.
    pub store_run_id: &'a str,
    /// Epoch found there; 0: nothing.
    pub found_epoch: u64,
}

/// Why a node has to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Another node has the permit.
    Opening,
    /// Nodes have yet to ship what they had.
    Shipping,
    /// The organization's budgets are counted in another pool.
    Elsewhere,
}

/// The answer to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Write these counters, then confirm.
    Open(Opening),
    /// Not now.
    Retry {
        /// When to ask again.
        after_ms: u32,
        /// What is waited for.
        wait: Wait,
    },
    /// The epoch is open: read the counter store again.
    Already {
        /// Its number.
        epoch: u64,
    },
}

/// Counters to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The epoch.
    pub epoch: u64,
    /// Names the permission in [`confirm`].
    pub permit: String,
    /// Windows that have not ended and were used.
    pub balances: Vec<OpeningBalance>,
    /// Attempts that are still running.
    pub holds: Vec<OpenHold>,
}

#[derive(sqlx::FromRow)]
struct Row {
    epoch: i64,
    state: String,
    permit: String,
    permit_deadline: DateTime<Utc>,
    store_run_id: String,
    opened_at: Option<DateTime<Utc>>,
}

/// Decides what a node that found no counters, or foreign ones, may do. `permit`: a fresh random
/// text.
///
/// Only the organization's home pool gets an answer other than [`Wait::Elsewhere`], and not before
/// every node of other pools has shipped what it spent there.
///
/// # Errors
/// [`StoreError::Dangling`] for an unknown organization or pool; [`StoreError::NotFound`] for an
/// organization that this pool does not serve; [`StoreError::Unavailable`].
pub async fn open(store: &Store, asked: &Asked<'_>, permit: &str, now: Timestamp) -> Result<Decision> {
    let mut change = lock(store, asked.organization_id, asked.pool, now).await?;
    let serving = placement::of(&mut change).await?;
    if !serving.iter().any(|pool| pool == asked.pool) {
        return Err(StoreError::NotFound);
    }
    if serving.first().is_some_and(|home| home != asked.pool) {
        return Ok(Decision::Retry { after_ms: 1000, wait: Wait::Elsewhere });
    }
    if !placement::left_elsewhere(&mut change, asked.pool).await? {
        return Ok(Decision::Retry { after_ms: 250, wait: Wait::Shipping });
    }
    let Some(row) = current(&mut change, asked.pool).await? else {
        // Nothing was ever open here: nobody can have spent from counters.
        let first = asked.found_epoch.min(LAST_FOUND) + 1;
        return allow(change, asked, first, permit, true).await;
    };
    let epoch = unsigned(row.epoch);
    match row.state.as_str() {
        "opening" if now <= timestamp(row.permit_deadline) => {
            let left = timestamp(row.permit_deadline).millis_since(now).clamp(20, 250);
            Ok(Decision::Retry { after_ms: u32::try_from(left).unwrap_or(250), wait: Wait::Opening })
        }
        "shipping" if all_shipped(&mut change, asked.pool).await? => {
            allow(change, asked, epoch, permit, false).await
        }
        "shipping" => Ok(Decision::Retry { after_ms: 250, wait: Wait::Shipping }),
        "open" if !is_lost(asked, &row, now) => Ok(Decision::Already { epoch }),
        _ => {
            burn(change, asked, epoch + 1, Ending::Lost).await?;
            Ok(Decision::Retry { after_ms: 100, wait: Wait::Shipping })
        }
    }
}

/// Whether the counters that were opened are gone from where the node looks.
fn is_lost(asked: &Asked<'_>, row: &Row, now: Timestamp) -> bool {
    let same = asked.found_epoch == unsigned(row.epoch) && asked.store_run_id == row.store_run_id;
    let settled = row.opened_at.is_none_or(|opened| now.millis_since(timestamp(opened)) >= SETTLED_MS);
    !same && settled
}

/// Says that the counters were written. False: the permit has lapsed, and they are burnt.
///
/// # Errors
/// When the database is away.
pub async fn confirm(
    store: &Store,
    asked: &Asked<'_>,
    epoch: u64,
    permit: &str,
    now: Timestamp,
) -> Result<bool> {
    let mut change = lock(store, asked.organization_id, asked.pool, now).await?;
    let Some(row) = current(&mut change, asked.pool).await? else { return Ok(false) };
    if row.permit != permit || unsigned(row.epoch) != epoch {
        return Ok(false);
    }
    match row.state.as_str() {
        "open" => Ok(row.store_run_id == asked.store_run_id),
        "opening" if now <= timestamp(row.permit_deadline) => {
            let organization = change.organization();
            sqlx::query(
                "UPDATE budget_epochs SET state = 'open', store_run_id = $3, opened_at = $4
                 WHERE organization_id = $1 AND pool = $2",
            )
            .bind(organization)
            .bind(asked.pool)
            .bind(asked.store_run_id)
            .bind(time(now))
            .execute(change.connection())
            .await?;
            change.commit(note("budget_epoch.open", asked.pool, epoch)).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// A change of the organization in which nobody else decides on its epoch in this pool.
async fn lock(store: &Store, organization: OrganizationId, pool: &str, now: Timestamp) -> Result<Change> {
    if organization == OrganizationId::SYSTEM {
        return Err(StoreError::NotFound);
    }
    let mut change = store.change(&SystemActor::new("epochs").acting_for(organization), now).await?;
    decide_alone(&mut change, pool).await?;
    Ok(change)
}

/// Waits until nobody else decides on the organization's epoch in this pool.
pub(crate) async fn decide_alone(change: &mut Change, pool: &str) -> Result<()> {
    let organization = change.organization_id().to_string();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0))")
        .bind(organization)
        .bind(pool)
        .execute(change.connection())
        .await?;
    Ok(())
}

async fn current(change: &mut Change, pool: &str) -> Result<Option<Row>> {
    let organization = change.organization();
    Ok(sqlx::query_as(
        "SELECT epoch, state, permit, permit_deadline, store_run_id, opened_at FROM budget_epochs
         WHERE organization_id = $1 AND pool = $2",
    )
    .bind(organization)
    .bind(pool)
    .fetch_optional(change.connection())
    .await?)
}

/// Gives the permit durably, with what was spent and is held at this moment.
async fn allow(
    mut change: Change,
    asked: &Asked<'_>,
    epoch: u64,
    permit: &str,
    publish: bool,
) -> Result<Decision> {
    let (balances, holds) = books::read(&mut change).await?;
    store_epoch(&mut change, asked.pool, epoch, "opening", permit).await?;
    if publish {
        publish_epoch(&mut change, asked, epoch)?;
    }
    let committed = change.commit(note("budget_epoch.permit", asked.pool, epoch)).await?;
    tracing::info!(organization = %asked.organization_id, pool = asked.pool, epoch, audit = committed.audit_n, "budget epoch opening");
    Ok(Decision::Open(Opening { epoch, permit: permit.to_owned(), balances, holds }))
}

/// Why an epoch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Its counters are gone, or were never confirmed.
    Lost,
    /// What the counters were written from was corrected.
    Corrected,
    /// What dead processes had in advance comes back.
    Reclaimed,
}

impl Ending {
    fn tell(self, asked: &Asked<'_>, next: u64) {
        let (organization, pool) = (asked.organization_id, asked.pool);
        match self {
            Self::Lost => {
                tracing::warn!(%organization, pool, epoch = next, "budget counters lost: epoch burnt");
            }
            Self::Corrected => {
                tracing::info!(%organization, pool, epoch = next, "books corrected: budget counters open anew from them");
            }
            Self::Reclaimed => {
                tracing::info!(%organization, pool, epoch = next, "budgets that dead processes had in advance come back: counters open anew");
            }
        }
    }
}

/// Publishes the next epoch and lets it wait for the nodes.
async fn burn(mut change: Change, asked: &Asked<'_>, next: u64, why: Ending) -> Result<()> {
    store_epoch(&mut change, asked.pool, next, "shipping", "").await?;
    grants::forget_before(&mut change, asked.pool, next).await?;
    publish_epoch(&mut change, asked, next)?;
    change.commit(note("budget_epoch.burn", asked.pool, next)).await?;
    why.tell(asked, next);
    Ok(())
}

/// Has the live counters of an organization written anew from the books, after these were
/// corrected: every epoch that is open, or for which they were read, is burnt, and opens again once its nodes
/// have shipped what they had. Until then, about a second, capped calls are refused. A pool with a node that has not
/// been heard of since `heard_since` is left alone, as it would stay closed. Returns the pools
/// that open anew.
///
/// # Errors
/// When the database is away.
pub async fn reopen(
    store: &Store,
    organization: OrganizationId,
    heard_since: Timestamp,
    now: Timestamp,
) -> Result<Vec<String>> {
    end_open(store, organization, heard_since, now, Ending::Corrected).await
}

async fn end_open(
    store: &Store,
    organization: OrganizationId,
    heard_since: Timestamp,
    now: Timestamp,
    why: Ending,
) -> Result<Vec<String>> {
    let pools: Vec<(String,)> = sqlx::query_as(
        "SELECT pool FROM budget_epochs e WHERE organization_id = $1 AND NOT EXISTS (
             SELECT FROM nodes n WHERE n.pool = e.pool AND n.state = 'enrolled' AND n.last_seen < $2) ORDER BY pool",
    )
    .bind(organization.to_uuid())
    .bind(time(heard_since))
    .fetch_all(store.feed())
    .await?;
    let mut reopened = Vec::new();
    for (pool,) in pools {
        // Whoever reads the books at this moment for an epoch that opens has not seen the correction.
        let mut change = lock(store, organization, &pool, now).await?;
        let Some(row) = current(&mut change, &pool).await? else { continue };
        let has_read = row.state == "open" || row.state == "opening" && why == Ending::Corrected;
        if !has_read {
            continue;
        }
        let asked = Asked { organization_id: organization, pool: &pool, store_run_id: "", found_epoch: 0 };
        burn(change, &asked, unsigned(row.epoch) + 1, why).await?;
        reopened.push(pool);
    }
    Ok(reopened)
}

fn publish_epoch(change: &mut Change, asked: &Asked<'_>, epoch: u64) -> Result<()> {
    let resource = BudgetEpoch { organization_id: asked.organization_id, pool: asked.pool.to_owned(), epoch };
    change.write(None, &Resource::BudgetEpoch(resource), true)
}

async fn store_epoch(change: &mut Change, pool: &str, epoch: u64, state: &str, permit: &str) -> Result<()> {
    let organization = change.organization();
    let deadline = time(change.now().plus_millis(PERMIT_MS));
    sqlx::query(
        "INSERT INTO budget_epochs (organization_id, pool, epoch, state, permit, permit_deadline, store_run_id)
         VALUES ($1, $2, $3, $4, $5, $6, '')
         ON CONFLICT (organization_id, pool) DO UPDATE SET epoch = excluded.epoch, state = excluded.state,
             permit = excluded.permit, permit_deadline = excluded.permit_deadline,
             store_run_id = excluded.store_run_id, opened_at = NULL",
    )
    .bind(organization)
    .bind(pool)
    .bind(signed(epoch))
    .bind(state)
    .bind(permit)
    .bind(deadline)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Whether every node of the pool that ever spoke, and was not taken out, has shipped all it
/// wrote before it applied the burning change (the newest version of the epoch's document). A
/// node that is away keeps the epoch closed.
async fn all_shipped(change: &mut Change, pool: &str) -> Result<bool> {
    let shard = Shard::of(change.organization_id());
    let organization = change.organization();
    let (waiting,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM nodes n, config_resources c
         WHERE n.pool = $1 AND n.state = 'enrolled' AND n.last_seen IS NOT NULL
             AND c.organization_id = $2 AND c.kind = $3 AND c.id = $1 AND coalesce(n.shipped[$4 + 1], 0) < c.n",
    )
    .bind(pool)
    .bind(organization)
    .bind(ResourceKind::BudgetEpoch.as_str())
    .bind(i32::from(shard_index(shard)))
    .fetch_one(change.connection())
    .await?;
    Ok(waiting == 0)
}

fn note(action: &'static str, pool: &str, epoch: u64) -> AuditNote {
    AuditNote { action, object: pool.to_owned(), before: None, after: Some(json!({ "epoch": epoch })) }
}
