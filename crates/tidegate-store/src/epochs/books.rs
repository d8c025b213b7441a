//! What an epoch opens with: derived from billing events by the intake.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::{BudgetId, CallId, NanoUsd, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::change::Change;
use crate::convert::{from_json, timestamp};
use crate::intake::HoldRow;

/// What a window has used.
#[derive(Deserialize)]
pub(super) struct SpendRow {
    budget_id: Uuid,
    window_start: i64,
    window_end: i64,
    spent: i64,
    unresolved: i64,
}

#[derive(Deserialize)]
struct OpenRow {
    call_id: Uuid,
    attempt: i32,
    deadline: DateTime<Utc>,
    holds: Vec<HoldRow>,
}

/// What the windows that have not ended have used, and what is held for attempts that are still
/// running: one statement, so that an attempt which ends meanwhile is in one of the two.
pub(super) async fn read(change: &mut Change) -> Result<(Vec<OpeningBalance>, Vec<OpenHold>)> {
    let (organization, now) = (change.organization(), change.now().as_micros());
    let (spends, open): (Value, Value) = sqlx::query_as(
        "SELECT coalesce((SELECT jsonb_agg(jsonb_build_object('budget_id', budget_id, 'window_start', window_start,
                 'window_end', window_end, 'spent', spent, 'unresolved', unresolved) ORDER BY budget_id, window_start)
             FROM budget_spend WHERE organization_id = $1 AND window_end > $2), '[]'),
             coalesce((SELECT jsonb_agg(jsonb_build_object('call_id', call_id, 'attempt', attempt, 'deadline', deadline,
                 'holds', holds) ORDER BY call_id, attempt)
             FROM open_attempts WHERE organization_id = $1 AND NOT reaped), '[]')",
    )
    .bind(organization)
    .bind(now)
    .fetch_one(change.connection())
    .await?;
    let balances = from_json::<Vec<SpendRow>>(spends, "spend")?.iter().map(balance).collect();
    let open: Vec<OpenRow> = from_json(open, "holds")?;
    Ok((balances, open.iter().flat_map(|row| holds(row, now)).collect()))
}

pub(super) fn balance(row: &SpendRow) -> OpeningBalance {
    OpeningBalance {
        budget_id: BudgetId::from_uuid(row.budget_id),
        window_start: Timestamp::from_micros(row.window_start),
        window_end: Timestamp::from_micros(row.window_end),
        spent: NanoUsd::new(row.spent),
        unresolved: NanoUsd::new(row.unresolved),
    }
}

fn holds(row: &OpenRow, now: i64) -> impl Iterator<Item = OpenHold> {
    row.holds.iter().filter(move |hold| hold.end > now).map(|hold| OpenHold {
        call_id: CallId::from_uuid(row.call_id),
        attempt: u16::try_from(row.attempt).unwrap_or(u16::MAX),
        budget_id: BudgetId::from_uuid(hold.budget_id),
        window_start: Timestamp::from_micros(hold.start),
        window_end: Timestamp::from_micros(hold.end),
        amount: NanoUsd::new(hold.amount),
        deadline: timestamp(row.deadline),
    })
}
