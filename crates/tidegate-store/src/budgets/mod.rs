//! Budgets: their limits and scopes. What they have spent is derived from billing events.

mod past;

use serde_json::json;
use tidegate_types::resource::{Budget, Resource, ResourceKind};
use tidegate_types::window::{Window, WindowSpec};
use tidegate_types::{BudgetId, ModelName, NanoUsd, ProviderSlug, Timestamp};
use uuid::Uuid;

use crate::change::Change;
use crate::convert::{name_of, time, uuid_of};
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, credits, document, notices};

pub use past::{calendar, count as count_past, recount as recount_pasts};

const KIND: ResourceKind = ResourceKind::Budget;

fn unwrap(resource: Resource) -> Option<Budget> {
    match resource {
        Resource::Budget(value) => Some(value),
        _ => None,
    }
}

/// The budget with this id.
///
/// # Errors
/// [`crate::StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, id: BudgetId) -> Result<Stored<Budget>> {
    let owner = tx.organization_id();
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of budgets after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<BudgetId>, limit: u32) -> Result<Page<Stored<Budget>>> {
    let owner = tx.organization_id();
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// Adds a budget.
///
/// # Errors
/// [`crate::StoreError::Taken`] for a name in use, [`crate::StoreError::Dangling`] for an unknown team or key.
pub async fn insert(change: &mut Change, budget: &Budget) -> Result<()> {
    change.write(Some(budget.id.to_uuid()), &Resource::Budget(budget.clone()), false)?;
    store(
        change,
        budget,
        "INSERT INTO budgets (organization_id, budget_id, name, limit_nano_usd, window_every, window_start, window_end,
             team_id, key_id, end_user, tag, model, provider, enforcement, mode, count_byok, alert_at_percent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .await?;
    if budget.past.is_some() { past::note(change, budget).await } else { Ok(()) }
}

/// Stores a new version. `expected`: the version that the caller saw. `tightens`: its limit was
/// lowered or its scope widened.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], and as [`insert`].
pub async fn update(
    change: &mut Change,
    budget: &Budget,
    expected: Option<i64>,
    tightens: bool,
) -> Result<()> {
    document::lock(change, KIND, budget.id, expected).await?;
    credits::guard(change, budget.id).await?;
    change.write(Some(budget.id.to_uuid()), &Resource::Budget(budget.clone()), tightens)?;
    store(
        change,
        budget,
        "UPDATE budgets SET name = $3, limit_nano_usd = $4, window_every = $5, window_start = $6, window_end = $7,
             team_id = $8, key_id = $9, end_user = $10, tag = $11, model = $12, provider = $13, enforcement = $14,
             mode = $15, count_byok = $16, alert_at_percent = $17
         WHERE organization_id = $1 AND budget_id = $2",
    )
    .await?;
    notices::after_change(change, budget).await
}

async fn store(change: &mut Change, budget: &Budget, statement: &'static str) -> Result<()> {
    let (every, start, end) = match budget.window {
        WindowSpec::Recurring { every } => (name_of(&every)?, None, None),
        WindowSpec::Fixed { start, end } => ("fixed".to_owned(), Some(time(start)), Some(time(end))),
        WindowSpec::Lifetime { .. } => ("lifetime".to_owned(), None, None),
    };
    let scope = &budget.scope;
    let alerts: Vec<i16> = budget.alert_at_percent.iter().map(|percent| i16::from(*percent)).collect();
    sqlx::query(statement)
        .bind(budget.organization_id.to_uuid())
        .bind(budget.id.to_uuid())
        .bind(&budget.name)
        .bind(budget.limit.get())
        .bind(every)
        .bind(start)
        .bind(end)
        .bind(uuid_of(scope.team))
        .bind(uuid_of(scope.key))
        .bind(scope.end_user.as_ref().map(|selector| selector.hash.as_bytes().as_slice()))
        .bind(scope.tag.as_ref().map(|selector| selector.hash.as_bytes().as_slice()))
        .bind(scope.model.as_ref().map(ModelName::as_str))
        .bind(scope.provider.as_ref().map(ProviderSlug::as_str))
        .bind(name_of(&budget.enforcement)?)
        .bind(name_of(&budget.mode)?)
        .bind(budget.count_byok)
        .bind(alerts)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// What a budget's window has used, from the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend {
    /// The budget.
    pub budget_id: BudgetId,
    /// The window.
    pub window: Window,
    /// Charged.
    pub spent: NanoUsd,
    /// Held for attempts that run, as far as nodes have reported.
    pub held: NanoUsd,
    /// Held for attempts whose outcome is not known.
    pub unresolved: NanoUsd,
}

/// What these budgets' windows that contain `at` have used; windows without any use are left out.
///
/// # Errors
/// When the database is away.
pub async fn spend(tx: &mut TenantTx, ids: &[BudgetId], at: Timestamp) -> Result<Vec<Spend>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.to_uuid()).collect();
    let rows: Vec<(Uuid, i64, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT budget_id, window_start, max(window_end), sum(spent)::bigint, sum(held)::bigint, sum(unresolved)::bigint
         FROM (SELECT budget_id, window_start, window_end, spent, 0 AS held, unresolved FROM budget_spend
               WHERE organization_id = $1
               UNION ALL
               SELECT h.budget_id, h.start, h.\"end\", 0, h.amount, 0 FROM open_attempts o
               CROSS JOIN LATERAL jsonb_to_recordset(o.holds) AS h (budget_id uuid, start bigint, \"end\" bigint, amount bigint)
               WHERE o.organization_id = $1 AND NOT o.reaped) AS used
         WHERE budget_id = ANY($2) AND window_start <= $3 AND window_end > $3
         GROUP BY budget_id, window_start ORDER BY budget_id, window_start",
    )
    .bind(tx.organization())
    .bind(&ids)
    .bind(at.as_micros())
    .fetch_all(tx.connection())
    .await?;
    let spends = rows.into_iter().map(|(id, start, end, spent, held, unresolved)| Spend {
        budget_id: BudgetId::from_uuid(id),
        window: Window { start: Timestamp::from_micros(start), end: Timestamp::from_micros(end) },
        spent: NanoUsd::new(spent),
        held: NanoUsd::new(held),
        unresolved: NanoUsd::new(unresolved),
    });
    Ok(spends.collect())
}

/// Deletes a budget.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], [`crate::StoreError::InUse`].
pub async fn delete(change: &mut Change, id: BudgetId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    credits::guard(change, id).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM budgets WHERE organization_id = $1 AND budget_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}
