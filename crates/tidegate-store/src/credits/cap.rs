//! The budget that caps an organization at its credit: how much, and writing it.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tidegate_types::resource::{Budget, Enforcement, HoldMode, Raise, Resource, ResourceKind, Scope};
use tidegate_types::window::{Every, True, WindowSpec};
use tidegate_types::{BudgetId, NanoUsd, Timestamp};
use uuid::Uuid;

use super::amounts::Terms;
use super::{Account, Setup, account};
use crate::change::Change;
use crate::convert::{name_of, time};
use crate::tenant::TenantTx;
use crate::{Result, StoreError, budgets, document};

/// A period of the allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Period {
    #[sqlx(rename = "period_start")]
    pub(super) start: i64,
    #[sqlx(rename = "period_end")]
    pub(super) end: i64,
    pub(super) amount: i64,
    pub(super) budget_id: Uuid,
    pub(super) lapsed: Option<i64>,
}

/// What credit has paid: charges, and with markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Drawn {
    pub(super) cost: i64,
    pub(super) charged: i64,
}

/// An account at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) drawn: Drawn,
    pub(super) balance: i64,
    pub(super) allowance_left: i64,
    pub(super) period: Option<Period>,
}

/// Reads an account's moment.
pub(super) async fn state(tx: &mut TenantTx, account: &Account, now: Timestamp) -> Result<State> {
    let organization = tx.organization();
    let drawn: Drawn = sqlx::query_as("SELECT cost, charged FROM credit_draws WHERE organization_id = $1")
        .bind(organization)
        .fetch_one(tx.connection())
        .await?;
    let (put_in,): (i64,) = sqlx::query_as(
        "SELECT coalesce(sum(amount), 0)::bigint FROM credit_entries WHERE organization_id = $1",
    )
    .bind(organization)
    .fetch_one(tx.connection())
    .await?;
    let period: Option<Period> = sqlx::query_as(
        "SELECT period_start, period_end, amount, budget_id, lapsed FROM credit_periods
         WHERE organization_id = $1 AND period_start <= $2 AND period_end > $2 AND lapsed IS NULL",
    )
    .bind(organization)
    .bind(now.as_micros())
    .fetch_optional(tx.connection())
    .await?;
    let allowance_left = match &period {
        Some(period) => (period.amount - used(tx, account, period).await?).max(0),
        None => 0,
    };
    let balance = put_in - drawn.charged;
    Ok(State { drawn, balance, allowance_left: allowance_left.min(balance.max(0)), period })
}

/// What charges took in a period, markup included.
pub(super) async fn used(tx: &mut TenantTx, account: &Account, period: &Period) -> Result<i64> {
    let organization = tx.organization();
    let spent: Option<(i64,)> = sqlx::query_as(
        "SELECT spent FROM budget_spend WHERE organization_id = $1 AND budget_id = $2 AND window_start = $3",
    )
    .bind(organization)
    .bind(period.budget_id)
    .bind(period.start)
    .fetch_optional(tx.connection())
    .await?;
    Ok(account.terms().part(spent.map_or(0, |(spent,)| spent)))
}

/// Opens an account: the cap, and the counter of periods where there is an allowance.
pub(super) async fn open(change: &mut Change, setup: &Setup) -> Result<()> {
    let cap = cap(change);
    budgets::insert(change, &cap).await?;
    let counter = match setup.allowance {
        Some(allowance) => Some(counter(change, allowance.every).await?),
        None => None,
    };
    let (organization, now) = (change.organization(), time(change.now()));
    sqlx::query(
        "INSERT INTO credit_accounts (organization_id, budget_id, period_budget_id, markup_bps, since_cost, since_charged,
             allowance, allowance_every, ends_with_top_up, created_at) VALUES ($1, $2, $3, $4, 0, 0, $5, $6, $7, $8)",
    )
    .bind(organization)
    .bind(cap.id.to_uuid())
    .bind(counter.map(BudgetId::to_uuid))
    .bind(i32::try_from(setup.markup_bps).unwrap_or(i32::MAX))
    .bind(setup.allowance.map(|allowance| allowance.amount.get()))
    .bind(setup.allowance.map(|allowance| name_of(&allowance.every)).transpose()?)
    .bind(setup.allowance.is_some_and(|allowance| allowance.ends_with_top_up))
    .bind(now)
    .execute(change.connection())
    .await?;
    sqlx::query("INSERT INTO credit_draws (organization_id, cost, charged) VALUES ($1, 0, 0)")
        .bind(organization)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Changes an account's terms. What was charged until now stays as it was charged.
pub(super) async fn change_terms(change: &mut Change, account: &Account, setup: &Setup) -> Result<()> {
    let (organization, before) = (change.organization(), account.allowance()?);
    if let (Some(before), Some(after)) = (before, setup.allowance)
        && before.every != after.every
    {
        return Err(StoreError::Immutable("running allowance's period (end the allowance first)"));
    }
    let counter = match setup.allowance {
        Some(allowance) if before.is_none() => Some(counter(change, allowance.every).await?.to_uuid()),
        _ => account.period_budget_id,
    };
    // Charges that come in wait until the new terms hold, so that none is paid on both.
    sqlx::query(
        "WITH drawn AS (SELECT cost, charged FROM credit_draws WHERE organization_id = $1 FOR UPDATE)
         UPDATE credit_accounts SET markup_bps = $2, allowance = $3, allowance_every = $4, ends_with_top_up = $5,
             period_budget_id = $6, since_cost = drawn.cost, since_charged = drawn.charged, version = version + 1
         FROM drawn WHERE organization_id = $1",
    )
    .bind(organization)
    .bind(i32::try_from(setup.markup_bps).unwrap_or(i32::MAX))
    .bind(setup.allowance.map(|allowance| allowance.amount.get()))
    .bind(setup.allowance.map(|allowance| name_of(&allowance.every)).transpose()?)
    .bind(setup.allowance.is_some_and(|allowance| allowance.ends_with_top_up))
    .bind(counter)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// The counter of periods of this length; made where it is not there.
async fn counter(change: &mut Change, every: Every) -> Result<BudgetId> {
    let name = format!("credit: each {}", name_of(&every)?);
    let counter = budget(change, &name, WindowSpec::Recurring { every }, Enforcement::Soft);
    match budgets::get(change, counter.id).await {
        Ok(_) => {}
        Err(StoreError::NotFound) => budgets::insert(change, &counter).await?,
        Err(error) => return Err(error),
    }
    Ok(counter.id)
}

/// The cap as it is first made: nothing may be spent.
fn cap(change: &Change) -> Budget {
    budget(change, "credit", WindowSpec::Lifetime { lifetime: True }, Enforcement::Hard)
}

/// A budget of the platform's over the whole organization; its id is made of its name.
fn budget(change: &Change, name: &str, window: WindowSpec, enforcement: Enforcement) -> Budget {
    let mut hash = Sha256::new();
    hash.update(change.organization_id().to_u128().to_be_bytes());
    hash.update(name.as_bytes());
    let bits = hash.finalize().iter().take(16).fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
    // As old as its organization: the same at any time.
    let id = BudgetId::from_parts(change.organization_id().unix_ms(), bits);
    Budget {
        organization_id: change.organization_id(),
        id,
        name: name.to_owned(),
        limit: NanoUsd::ZERO,
        window,
        scope: Scope::default(),
        enforcement,
        mode: HoldMode::Strict,
        count_byok: false,
        alert_at_percent: Vec::new(),
        raises: Vec::new(),
        past: None,
    }
}

/// Largest limit that nodes count exactly.
const MOST: i64 = 1 << 53;

/// The limit of the cap, and the part of it that lapses with the period.
pub(super) fn limit(terms: Terms, state: &State) -> (i64, i64) {
    let kept = terms.affords(state.balance - state.allowance_left);
    let all = terms.affords(state.balance);
    (state.drawn.cost.saturating_add(kept), all - kept)
}

/// Writes the cap as it should be now; returns it.
///
/// # Errors
/// [`StoreError::Immutable`] when more was ever put in than nodes can count.
pub(super) async fn write(change: &mut Change) -> Result<Budget> {
    let now = change.now();
    let account = account(change, true).await?.ok_or(StoreError::NotFound)?;
    let state = state(change, &account, now).await?;
    let (limit, lapses) = limit(account.terms(), &state);
    if limit.saturating_add(lapses) > MOST {
        return Err(StoreError::Immutable("credit beyond 9007199.254740992 USD in all"));
    }
    let id = BudgetId::from_uuid(account.budget_id);
    let before = match document::lock(change, ResourceKind::Budget, id, None).await {
        // This very change makes it: its document is written with the commit.
        Err(StoreError::NotFound) => cap(change),
        locked => {
            locked?;
            budgets::get(change, id).await?.value
        }
    };
    let raise = state.period.filter(|_| lapses > 0).map(|period| Raise {
        amount: NanoUsd::new(lapses),
        until: Timestamp::from_micros(period.end),
        reason: "allowance".to_owned(),
    });
    let after = Budget { limit: NanoUsd::new(limit), raises: raise.into_iter().collect(), ..before.clone() };
    if after == before {
        return Ok(after);
    }
    let tightens = after.limit < before.limit || after.raises != before.raises;
    sqlx::query("UPDATE budgets SET limit_nano_usd = $3 WHERE organization_id = $1 AND budget_id = $2")
        .bind(change.organization())
        .bind(account.budget_id)
        .bind(limit)
        .execute(change.connection())
        .await?;
    change.write(Some(account.budget_id), &Resource::Budget(after.clone()), tightens)?;
    Ok(after)
}

/// What an audit is told of an account.
pub(super) fn told(state: &State) -> serde_json::Value {
    json!({"balance": NanoUsd::new(state.balance), "allowance_left": NanoUsd::new(state.allowance_left)})
}
