//! What an epoch opens with: derived from billing events by the intake.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::{BudgetId, CallId, NanoUsd, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::change::Change;
use crate::convert::{from_json, timestamp};
use crate::intake::HoldRow;

/// What the windows that have not ended have used.
pub(super) async fn balances(change: &mut Change) -> Result<Vec<OpeningBalance>> {
    let (organization, now) = (change.organization(), change.now().as_micros());
    let rows: Vec<(Uuid, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT budget_id, window_start, window_end, spent, unresolved FROM budget_spend
         WHERE organization_id = $1 AND window_end > $2 ORDER BY budget_id, window_start",
    )
    .bind(organization)
    .bind(now)
    .fetch_all(change.connection())
    .await?;
    let balances = rows.into_iter().map(|(budget, start, end, spent, unresolved)| OpeningBalance {
        budget_id: BudgetId::from_uuid(budget),
        window_start: Timestamp::from_micros(start),
        window_end: Timestamp::from_micros(end),
        spent: NanoUsd::new(spent),
        unresolved: NanoUsd::new(unresolved),
    });
    Ok(balances.collect())
}

/// What is held for attempts that are still running.
pub(super) async fn holds(change: &mut Change) -> Result<Vec<OpenHold>> {
    let (organization, now) = (change.organization(), change.now().as_micros());
    let rows: Vec<(Uuid, i32, DateTime<Utc>, Value)> = sqlx::query_as(
        "SELECT call_id, attempt, deadline, holds FROM open_attempts
         WHERE organization_id = $1 AND NOT reaped ORDER BY call_id, attempt",
    )
    .bind(organization)
    .fetch_all(change.connection())
    .await?;
    let mut holds = Vec::new();
    for (call, attempt, deadline, held) in rows {
        let held: Vec<HoldRow> = from_json(held, "holds")?;
        holds.extend(held.into_iter().filter(|hold| hold.end > now).map(|hold| OpenHold {
            call_id: CallId::from_uuid(call),
            attempt: u16::try_from(attempt).unwrap_or(u16::MAX),
            budget_id: BudgetId::from_uuid(hold.budget_id),
            window_start: Timestamp::from_micros(hold.start),
            window_end: Timestamp::from_micros(hold.end),
            amount: NanoUsd::new(hold.amount),
            deadline: timestamp(deadline),
        }));
    }
    Ok(holds)
}
