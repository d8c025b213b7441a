//! Credit: what an organization has paid in advance, or is given each period. It acts as a cap.
//!
//! The cap is a hard budget for ever over the whole organization; its limit is what has been spent
//! under it and what the balance still affords. It moves only when something is put in or taken back:
//! spending does not move it. The allowance of a period is a raise of that limit which ends with the
//! period by itself. Everything is in the ledger.

mod amounts;
mod book;
mod cap;
mod draw;
mod periods;

use tidegate_types::resource::Budget;
use tidegate_types::window::Every;
use tidegate_types::{BudgetId, NanoUsd, Timestamp};
use uuid::Uuid;

use crate::actor::{PlatformRole, Who};
use crate::change::Change;
use crate::convert::from_name;
use crate::tenant::TenantTx;
use crate::{Result, StoreError};

pub use book::{Entry, EntryId, EntryKind, NewEntry, entries, entry};
pub use periods::roll;

pub(crate) use draw::draw;

use amounts::Terms;

/// A recurring allowance: lapses at the end of each period, is spent before what was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// For each period.
    pub amount: NanoUsd,
    /// The periods, in the organization's calendar.
    pub every: Every,
    /// Whether the first top-up ends it.
    pub ends_with_top_up: bool,
}

/// How an organization's credit is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Setup {
    /// Hundredths of a percent on top of each charge.
    pub markup_bps: u32,
    /// What is given each period.
    pub allowance: Option<Allowance>,
}

/// An organization's credit at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// How it is set up.
    pub setup: Setup,
    /// The budget that caps it.
    pub budget_id: BudgetId,
    /// Everything that is left, the allowance included; below zero after a charge beyond its bound.
    pub balance: NanoUsd,
    /// Of it left of the present period's allowance.
    pub allowance_left: NanoUsd,
    /// When that lapses.
    pub period_end: Option<Timestamp>,
    /// What charges have taken so far, markup included.
    pub drawn: NanoUsd,
    /// Counts its versions (ETag).
    pub version: i64,
}

/// A stored account.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Account {
    budget_id: Uuid,
    period_budget_id: Option<Uuid>,
    markup_bps: i32,
    since_cost: i64,
    since_charged: i64,
    allowance: Option<i64>,
    allowance_every: Option<String>,
    ends_with_top_up: bool,
    version: i64,
}

impl Account {
    const fn terms(&self) -> Terms {
        Terms { markup_bps: self.markup_bps, since_cost: self.since_cost, since_charged: self.since_charged }
    }

    fn allowance(&self) -> Result<Option<Allowance>> {
        let (Some(amount), Some(every)) = (self.allowance, &self.allowance_every) else { return Ok(None) };
        Ok(Some(Allowance {
            amount: NanoUsd::new(amount),
            every: from_name(every)?,
            ends_with_top_up: self.ends_with_top_up,
        }))
    }
}

const ACCOUNT: &str =
    "SELECT budget_id, period_budget_id, markup_bps, since_cost, since_charged, allowance, allowance_every,
     ends_with_top_up, version FROM credit_accounts WHERE organization_id = $1";

async fn account(tx: &mut TenantTx, lock: bool) -> Result<Option<Account>> {
    let statement = if lock { format!("{ACCOUNT} FOR UPDATE") } else { ACCOUNT.to_owned() };
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(tx.organization())
        .fetch_optional(tx.connection())
        .await?)
}

/// The bound organization's credit; `None`: it pays what it used, later.
///
/// # Errors
/// When the database is away.
pub async fn get(tx: &mut TenantTx, now: Timestamp) -> Result<Option<Credit>> {
    let Some(account) = account(tx, false).await? else { return Ok(None) };
    let state = cap::state(tx, &account, now).await?;
    Ok(Some(Credit {
        setup: Setup { markup_bps: account.markup_bps.unsigned_abs(), allowance: account.allowance()? },
        budget_id: BudgetId::from_uuid(account.budget_id),
        balance: NanoUsd::new(state.balance),
        allowance_left: NanoUsd::new(state.allowance_left),
        period_end: state.period.map(|period| Timestamp::from_micros(period.end)),
        drawn: NanoUsd::new(state.drawn.charged),
        version: account.version,
    }))
}

/// Sets an organization's credit up, or changes how it is. From then on it can spend what it has.
/// Returns its cap.
///
/// # Errors
/// [`StoreError::VersionConflict`]; [`StoreError::Taken`] when one of its own budgets has the cap's
/// name; [`StoreError::Immutable`] unless the platform asks.
pub async fn set_up(change: &mut Change, setup: &Setup, expected: Option<i64>) -> Result<Budget> {
    only_platform(change)?;
    let found = account(change, true).await?;
    let current = found.as_ref().map_or(0, |account| account.version);
    if expected.is_some_and(|version| version != current) {
        return Err(StoreError::VersionConflict { current });
    }
    match found {
        None => cap::open(change, setup).await?,
        Some(account) => cap::change_terms(change, &account, setup).await?,
    }
    periods::settle(change).await?;
    cap::write(change).await
}

/// Books an entry: a top-up, or an adjustment of one. The same reference is booked once.
/// Returns its cap as well.
///
/// # Errors
/// [`StoreError::NotFound`] where credit is not set up; [`StoreError::Taken`] for a reference that is
/// booked; [`StoreError::Dangling`] for an unknown entry to correct.
pub async fn book(change: &mut Change, entry: &NewEntry<'_>) -> Result<(EntryId, Budget)> {
    only_platform(change)?;
    let account = account(change, true).await?.ok_or(StoreError::NotFound)?;
    let id = book::book(change, entry).await?;
    if entry.kind == EntryKind::TopUp && account.ends_with_top_up && account.allowance.is_some() {
        periods::end(change).await?;
    }
    Ok((id, cap::write(change).await?))
}

fn only_platform(change: &Change) -> Result<()> {
    match change.actor().platform() {
        Some(PlatformRole::PlatformAdmin) => Ok(()),
        _ => Err(StoreError::Immutable("balance")),
    }
}

/// Refuses to change a budget that is a cap of credit, unless the control plane itself does.
pub(crate) async fn guard(change: &mut Change, budget: BudgetId) -> Result<()> {
    if matches!(change.actor().who(), Who::System(_)) {
        return Ok(());
    }
    let organization = change.organization();
    let (is_cap,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM credit_accounts
         WHERE organization_id = $1 AND $2 IN (budget_id, period_budget_id))",
    )
    .bind(organization)
    .bind(budget.to_uuid())
    .fetch_one(change.connection())
    .await?;
    if is_cap { Err(StoreError::Immutable("cap of credit")) } else { Ok(()) }
}
