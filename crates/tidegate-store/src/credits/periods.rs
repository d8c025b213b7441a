//! Periods of the allowance: given at their beginning, lapsed at their end, counted again for a week
//! because charges come in late.

use tidegate_types::window::WindowSpec;
use tidegate_types::{NanoUsd, OrganizationId, Timestamp};
use uuid::Uuid;

use super::cap::{self, Period};
use super::{Account, EntryKind, NewEntry, account, book};
use crate::actor::SystemActor;
use crate::change::{AuditNote, Change};
use crate::connect::Store;
use crate::{Result, Round, StoreError, budgets};

/// Late charges change what had lapsed for so long.
const RECOUNTED_MICROS: i64 = 7 * 86_400_000_000;

/// Begins and ends periods that are due. What is done are accounts.
///
/// # Errors
/// When the database is away.
pub async fn roll(store: &Store, now: Timestamp) -> Result<Round> {
    let due: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT a.organization_id FROM credit_accounts a
         WHERE (a.allowance IS NOT NULL AND NOT EXISTS (SELECT FROM credit_periods p
                 WHERE p.organization_id = a.organization_id AND p.period_end > $1 AND p.lapsed IS NULL))
             OR EXISTS (SELECT FROM credit_periods p WHERE p.organization_id = a.organization_id AND p.lapsed IS NULL
                 AND p.period_end <= $1)
             OR EXISTS (SELECT FROM credit_periods p JOIN budget_spend s
                     ON s.organization_id = p.organization_id AND s.budget_id = p.budget_id
                     AND s.window_start = p.period_start
                 WHERE p.organization_id = a.organization_id AND p.lapsed > 0 AND p.period_end > $1 - $2
                     AND p.amount - p.lapsed < least(p.amount, s.spent))
         ORDER BY a.organization_id",
    )
    .bind(now.as_micros())
    .bind(RECOUNTED_MICROS)
    .fetch_all(store.feed())
    .await?;
    let mut round = Round::default();
    for (organization,) in due {
        let organization = OrganizationId::from_uuid(organization);
        round.note(organization, roll_one(store, organization, now).await.map(|()| 1))?;
    }
    Ok(round)
}

async fn roll_one(store: &Store, organization: OrganizationId, now: Timestamp) -> Result<()> {
    let mut change = store.change(&SystemActor::new("credits").acting_for(organization), now).await?;
    if account(&mut change, true).await?.is_none() {
        return Ok(());
    }
    settle(&mut change).await?;
    cap::write(&mut change).await?;
    let after = match account(&mut change, false).await? {
        Some(account) => Some(cap::told(&cap::state(&mut change, &account, now).await?)),
        None => None,
    };
    let note = AuditNote { action: "credit.period", object: organization.to_string(), before: None, after };
    change.commit(note).await?;
    Ok(())
}

/// Ends what has ended, counts again what ended lately, begins what has begun. The account is locked.
pub(super) async fn settle(change: &mut Change) -> Result<()> {
    let now = change.now();
    let account = account(change, true).await?.ok_or(StoreError::NotFound)?;
    for period in lately(change).await? {
        let over = period.end <= now.as_micros();
        if over || account.allowance.is_none() {
            lapse(change, &account, &period).await?;
        }
    }
    let Some(allowance) = account.allowance()? else { return Ok(()) };
    let calendar = budgets::calendar(change).await?;
    let Some(window) = calendar.window(WindowSpec::Recurring { every: allowance.every }, now) else {
        return Ok(());
    };
    let organization = change.organization();
    let begun = sqlx::query(
        "INSERT INTO credit_periods (organization_id, period_start, period_end, amount, budget_id)
         SELECT $1, $2, $3, $4, $6 WHERE NOT EXISTS (
             SELECT FROM credit_periods WHERE organization_id = $1 AND period_end > $5)
         ON CONFLICT DO NOTHING",
    )
    .bind(organization)
    .bind(window.start.as_micros())
    .bind(window.end.as_micros())
    .bind(allowance.amount.get())
    .bind(now.as_micros())
    .bind(account.period_budget_id)
    .execute(change.connection())
    .await?;
    if begun.rows_affected() == 1 {
        let reference = window.start.to_string();
        let entry = NewEntry {
            kind: EntryKind::Allowance,
            amount: allowance.amount,
            reference: &reference,
            note: "",
            corrects: None,
        };
        book::book(change, &entry).await?;
    }
    Ok(())
}

/// Ends the allowance for good: a top-up has come.
pub(super) async fn end(change: &mut Change) -> Result<()> {
    let organization = change.organization();
    sqlx::query(
        "UPDATE credit_accounts SET allowance = NULL, allowance_every = NULL, version = version + 1
         WHERE organization_id = $1",
    )
    .bind(organization)
    .execute(change.connection())
    .await?;
    settle(change).await
}

async fn lately(change: &mut Change) -> Result<Vec<Period>> {
    let (organization, now) = (change.organization(), change.now().as_micros());
    Ok(sqlx::query_as(
        "SELECT period_start, period_end, amount, budget_id, lapsed FROM credit_periods
         WHERE organization_id = $1 AND period_end > $2 ORDER BY period_start",
    )
    .bind(organization)
    .bind(now - RECOUNTED_MICROS)
    .fetch_all(change.connection())
    .await?)
}

/// Books what was not used of a period, as the difference to what had lapsed before.
async fn lapse(change: &mut Change, account: &Account, period: &Period) -> Result<()> {
    let unused = (period.amount - cap::used(change, account, period).await?).clamp(0, period.amount);
    let before = period.lapsed.unwrap_or(0);
    let organization = change.organization();
    sqlx::query("UPDATE credit_periods SET lapsed = $3 WHERE organization_id = $1 AND period_start = $2")
        .bind(organization)
        .bind(period.start)
        .bind(unused)
        .execute(change.connection())
        .await?;
    if unused == before {
        return Ok(());
    }
    let start = Timestamp::from_micros(period.start);
    let reference = format!("{start}/{unused}/{}", change.now());
    let entry = NewEntry {
        kind: EntryKind::Expiry,
        amount: NanoUsd::new(before - unused),
        reference: &reference,
        note: "",
        corrects: None,
    };
    book::book(change, &entry).await.map(|_| ())
}
