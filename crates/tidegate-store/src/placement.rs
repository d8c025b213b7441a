//! Pools, and which of them serve an organization.
//!
//! The first of an organization's pools is its home: only there its budget counters may be open. A
//! move gives every resource a new revision, so that old pools drop and new pools get all of it,
//! and burns the counters of every pool that is not home: they open anew, at home, once all nodes
//! that may have spent from the old ones have shipped.

use chrono::{DateTime, Utc};
use tidegate_types::resource::{BudgetEpoch, Resource, ResourceKind};
use tidegate_types::{OrganizationId, Shard, Timestamp};

use crate::change::Change;
use crate::connect::Store;
use crate::convert::{shard_index, time, timestamp, unsigned};
use crate::tenant::TenantTx;
use crate::{Result, StoreError, epochs};

/// Where organizations are that nobody has placed.
pub const DEFAULT: &str = "default";
/// Lock number of the list of pools; any number of our own.
const POOLS: i64 = 0x7469_6465_706f_6f6c;

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Nodes that were heard of lately.
    pub live_nodes: u32,
}

/// Every pool, in order of name.
///
/// # Errors
/// When the database is away.
pub async fn pools(tx: &mut TenantTx, live_since: Timestamp) -> Result<Vec<Pool>> {
    let rows: Vec<(String, DateTime<Utc>, i64)> = sqlx::query_as(
        "SELECT p.pool, p.created_at, (SELECT count(*) FROM nodes n
             WHERE n.pool = p.pool AND n.state = 'enrolled' AND n.last_seen >= $1) FROM pools p ORDER BY p.pool",
    )
    .bind(time(live_since))
    .fetch_all(tx.connection())
    .await?;
    let pool = |(name, created_at, live): (String, DateTime<Utc>, i64)| Pool {
        name,
        created_at: timestamp(created_at),
        live_nodes: u32::try_from(live).unwrap_or(u32::MAX),
    };
    Ok(rows.into_iter().map(pool).collect())
}

/// Adds a pool; its key follows in the same change ([`crate::wrapped::insert_pool_key`]). Nobody
/// seals a credential meanwhile.
///
/// # Errors
/// [`StoreError::Taken`] for a name in use.
pub async fn insert_pool(change: &mut Change, name: &str) -> Result<()> {
    let now = time(change.now());
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(POOLS).execute(change.connection()).await?;
    sqlx::query("INSERT INTO pools (pool, created_at) VALUES ($1, $2)")
        .bind(name)
        .bind(now)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// The names of all pools, which stay these until the change ends: for whom a secret is sealed.
///
/// # Errors
/// When the database is away.
pub async fn hold_pools(change: &mut Change) -> Result<Vec<String>> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(POOLS).execute(change.connection()).await?;
    crate::wrapped::pools(change).await
}

/// The pools that serve the bound organization, its home first.
///
/// # Errors
/// When the database is away.
pub async fn of(tx: &mut TenantTx) -> Result<Vec<String>> {
    let organization = tx.organization();
    let rows: Vec<(String, Option<i32>)> = sqlx::query_as(
        "SELECT pool, rank FROM organization_pools WHERE organization_id = $1 ORDER BY rank NULLS LAST, pool",
    )
    .bind(organization)
    .fetch_all(tx.connection())
    .await?;
    if rows.is_empty() {
        return Ok(vec![DEFAULT.to_owned()]);
    }
    Ok(rows.into_iter().filter(|(_, rank)| rank.is_some()).map(|(pool, _)| pool).collect())
}

/// Whether the pool's nodes serve the organization.
///
/// # Errors
/// When the database is away.
pub async fn is_served(store: &Store, organization: OrganizationId, pool: &str) -> Result<bool> {
    let (served,): (bool,) = sqlx::query_as("SELECT served_in($1, $2)")
        .bind(organization.to_uuid())
        .bind(pool)
        .fetch_one(store.feed())
        .await?;
    Ok(served)
}

/// The pools that serve the organization, as the push plane sees it.
///
/// # Errors
/// When the database is away.
pub async fn serving(store: &Store, organization: OrganizationId) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT pool FROM pools WHERE served_in($1, pool) ORDER BY pool")
            .bind(organization.to_uuid())
            .fetch_all(store.feed())
            .await?;
    Ok(rows.into_iter().map(|(pool,)| pool).collect())
}

/// The pools that serve the organization or did once, as the push plane sees it.
///
/// # Errors
/// When the database is away.
pub async fn ever_serving(store: &Store, organization: OrganizationId) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT pool FROM pools WHERE served_in($1, pool) OR ever_served_in($1, pool) ORDER BY pool",
    )
    .bind(organization.to_uuid())
    .fetch_all(store.feed())
    .await?;
    Ok(rows.into_iter().map(|(pool,)| pool).collect())
}

/// Places the bound organization: `pools` serve it from now on, the first is its home. The caller
/// writes the organization's document afterwards and commits.
///
/// # Errors
/// [`StoreError::Dangling`] for an unknown pool; [`StoreError::NotFound`] for no pool at all, and
/// for the system, which is everywhere.
pub async fn place(change: &mut Change, pools: &[String]) -> Result<()> {
    let (organization, before) = (change.organization(), of(change).await?);
    let home = pools.first().ok_or(StoreError::NotFound)?;
    if change.organization_id() == OrganizationId::SYSTEM {
        return Err(StoreError::NotFound);
    }
    sqlx::query(
        "INSERT INTO organization_pools AS p (organization_id, pool, rank)
         SELECT $1, pool, rank::integer - 1 FROM unnest($2::text[]) WITH ORDINALITY AS wanted (pool, rank)
         UNION ALL SELECT $1, pool, NULL FROM unnest($3::text[]) AS former (pool) WHERE pool <> ALL ($2)
         ON CONFLICT (organization_id, pool) DO UPDATE SET rank = excluded.rank",
    )
    .bind(organization)
    .bind(pools)
    .bind(&before)
    .execute(change.connection())
    .await?;
    burn_elsewhere(change, home).await?;
    // Pools that are new get all of it, those that were left drop it.
    change.renew_all();
    Ok(())
}

/// Gives up the counters of every pool but the home: none of them may be spent from any more.
async fn burn_elsewhere(change: &mut Change, home: &str) -> Result<()> {
    let (organization, organization_id) = (change.organization(), change.organization_id());
    let others: Vec<(String,)> = sqlx::query_as(
        "SELECT pool FROM budget_epochs WHERE organization_id = $1 AND pool <> $2 ORDER BY pool",
    )
    .bind(organization)
    .bind(home)
    .fetch_all(change.connection())
    .await?;
    for (pool,) in others {
        epochs::decide_alone(change, &pool).await?;
        let burnt: Option<(i64,)> = sqlx::query_as(
            "UPDATE budget_epochs SET epoch = epoch + 1, state = 'shipping', permit = '', store_run_id = '', opened_at = NULL
             WHERE organization_id = $1 AND pool = $2 AND state <> 'shipping' RETURNING epoch",
        )
        .bind(organization)
        .bind(&pool)
        .fetch_optional(change.connection())
        .await?;
        if let Some((epoch,)) = burnt {
            sqlx::query("DELETE FROM budget_grants WHERE organization_id = $1 AND pool = $2 AND epoch < $3")
                .bind(organization)
                .bind(&pool)
                .bind(epoch)
                .execute(change.connection())
                .await?;
            let epoch = BudgetEpoch { organization_id, pool, epoch: unsigned(epoch) };
            change.write(None, &Resource::BudgetEpoch(epoch), true)?;
        }
    }
    Ok(())
}

/// Names of the bound organization's hard budgets.
///
/// # Errors
/// When the database is away.
pub async fn hard_budgets(tx: &mut TenantTx) -> Result<Vec<String>> {
    let organization = tx.organization();
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT coalesce(content ->> 'name', '') FROM config_resources WHERE organization_id = $1 AND kind = $2
             AND content @> '{\"enforcement\": \"hard\"}' ORDER BY id",
    )
    .bind(organization)
    .bind(ResourceKind::Budget.as_str())
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// Whether every node of the organization's other pools has shipped what it had when counters
/// there were given up.
pub(crate) async fn left_elsewhere(change: &mut Change, home: &str) -> Result<bool> {
    let (organization, shard) = (change.organization(), Shard::of(change.organization_id()));
    let (waiting,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM budget_epochs e
         LEFT JOIN config_resources c ON c.organization_id = e.organization_id AND c.kind = $3 AND c.id = e.pool
         WHERE e.organization_id = $1 AND e.pool <> $2 AND (e.state <> 'shipping' OR EXISTS (
             SELECT FROM nodes n WHERE n.pool = e.pool AND n.state = 'enrolled' AND n.last_seen IS NOT NULL
                 AND coalesce(n.shipped[$4 + 1], 0) < coalesce(c.n, 0)))",
    )
    .bind(organization)
    .bind(home)
    .bind(ResourceKind::BudgetEpoch.as_str())
    .bind(i32::from(shard_index(shard)))
    .fetch_one(change.connection())
    .await?;
    Ok(waiting == 0)
}

/// Where an organization is served, beside each of its resources in the feed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// `None`: nobody placed it. Else the pools that serve it, and those that did once.
    placed: Option<(Vec<String>, Vec<String>)>,
}

/// What a pool's nodes are told of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// As it is.
    Present,
    /// That it is gone.
    Gone,
    /// Nothing.
    Nothing,
}

impl Placement {
    pub(crate) fn new(serving: Option<Vec<String>>, former: Option<Vec<String>>) -> Self {
        let placed = match (serving, former) {
            (None, None) => None,
            (serving, former) => Some((serving.unwrap_or_default(), former.unwrap_or_default())),
        };
        Self { placed }
    }

    /// What nodes of `pool` are told of a resource of `owner`.
    #[must_use]
    pub fn told(&self, owner: OrganizationId, pool: &str) -> Told {
        let has = |pools: &[String]| pools.iter().any(|name| name == pool);
        match &self.placed {
            _ if owner == OrganizationId::SYSTEM => Told::Present,
            None if pool == DEFAULT => Told::Present,
            Some((serving, _)) if has(serving) => Told::Present,
            Some((_, former)) if has(former) => Told::Gone,
            _ => Told::Nothing,
        }
    }
}
