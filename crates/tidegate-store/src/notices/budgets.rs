//! Notices of budgets: percentages of a limit that a window has used, and the first refusal.
//!
//! What counts is what was charged, with what had been spent before the budget counted. A percentage
//! is due once in a window, whatever the limit becomes afterwards.

use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use tidegate_types::resource::{Budget, Resource};
use tidegate_types::window::{Calendar, WeekStart};
use tidegate_types::{BudgetId, NanoUsd, OrganizationId, Timestamp};
use uuid::Uuid;

use super::{Notice, NoticeKind, raise};
use crate::change::Change;
use crate::convert::{from_name, time};
use crate::{Result, later};

/// A budget's window and what it has used by now, as the books just wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Window {
    pub(crate) organization_id: Uuid,
    pub(crate) budget_id: Uuid,
    pub(crate) window_start: i64,
    pub(crate) window_end: i64,
    pub(crate) spent: i64,
    pub(crate) unresolved: i64,
}

/// Raises what is due in these windows. Their rows are locked by the caller's transaction.
pub(crate) async fn thresholds(
    connection: &mut PgConnection,
    windows: &[Window],
    now: Timestamp,
) -> Result<()> {
    let used: Vec<&Window> = windows.iter().filter(|window| window.window_end > now.as_micros()).collect();
    let budgets = with_alerts(connection, &used).await?;
    raise_due(connection, &used, &budgets, now).await
}

/// Raises the percentages of these budgets that these windows have reached and that are new.
async fn raise_due(
    connection: &mut PgConnection,
    used: &[&Window],
    budgets: &[Budget],
    now: Timestamp,
) -> Result<()> {
    let mut due: Vec<(&Window, &Budget, u8)> = Vec::new();
    for budget in budgets {
        let of_budget = |window: &&&Window| {
            window.organization_id == budget.organization_id.to_uuid()
                && window.budget_id == budget.id.to_uuid()
        };
        for window in used.iter().filter(of_budget) {
            let reached =
                budget.alert_at_percent.iter().filter(|percent| reaches(budget, window, **percent, now));
            due.extend(reached.map(|percent| (*window, budget, *percent)));
        }
    }
    if due.is_empty() {
        return Ok(());
    }
    let new = note(connection, &due, now).await?;
    let notices = new.iter().filter_map(|key| {
        let (window, budget, percent) = due.iter().find(|(window, budget, percent)| {
            key == &(window.organization_id, budget.id.to_uuid(), window.window_start, i16::from(*percent))
        })?;
        Some(Notice {
            organization_id: budget.organization_id,
            kind: NoticeKind::BudgetThreshold,
            subject: format!("{}/{}/{percent}", budget.id, window.window_start),
            data: told(budget, window, Some(*percent), now),
        })
    });
    raise(connection, notices.collect(), now).await.map(|_| ())
}

/// Raises what this new version of a budget makes due in its present windows.
pub(crate) async fn after_change(change: &mut Change, budget: &Budget) -> Result<()> {
    if budget.alert_at_percent.is_empty() {
        return Ok(());
    }
    let (organization, now) = (change.organization(), change.now());
    let windows: Vec<Window> = sqlx::query_as(
        "SELECT organization_id, budget_id, window_start, window_end, spent, unresolved FROM budget_spend
         WHERE organization_id = $1 AND budget_id = $2 AND window_end > $3",
    )
    .bind(organization)
    .bind(budget.id.to_uuid())
    .bind(now.as_micros())
    .fetch_all(change.connection())
    .await?;
    let windows: Vec<&Window> = windows.iter().collect();
    raise_due(change.connection(), &windows, std::slice::from_ref(budget), now).await
}

/// Raises that a budget refused a call, for the first call of the window in which it did.
pub(crate) async fn exhausted(
    connection: &mut PgConnection,
    refusals: &[(OrganizationId, BudgetId, Timestamp)],
    now: Timestamp,
) -> Result<()> {
    let mut notices = Vec::new();
    for (organization, id, at) in refusals {
        let row: Option<(Value, String, String)> = sqlx::query_as(
            "SELECT b.content, o.content ->> 'time_zone', o.content ->> 'week_start'
             FROM config_resources b JOIN config_resources o
                 ON o.organization_id = b.organization_id AND o.kind = 'organization' AND o.content IS NOT NULL
             WHERE b.organization_id = $1 AND b.kind = 'budget' AND b.uid = $2 AND b.content IS NOT NULL",
        )
        .bind(organization.to_uuid())
        .bind(id.to_uuid())
        .fetch_optional(&mut *connection)
        .await?;
        // A budget that is gone by now tells nobody anything.
        let Some((content, zone, week_start)) = row else { continue };
        let calendar = from_name::<WeekStart>(&week_start).ok();
        let calendar = calendar.and_then(|week_start| Calendar::new(&zone, week_start).ok());
        let (Some(calendar), Some(budget)) = (calendar, budget(content)) else { continue };
        let Some(window) = calendar.window(budget.window, *at) else { continue };
        let used: Option<Window> = sqlx::query_as(
            "SELECT organization_id, budget_id, window_start, window_end, spent, unresolved FROM budget_spend
             WHERE organization_id = $1 AND budget_id = $2 AND window_start = $3",
        )
        .bind(organization.to_uuid())
        .bind(id.to_uuid())
        .bind(window.start.as_micros())
        .fetch_optional(&mut *connection)
        .await?;
        let used = used.unwrap_or(Window {
            organization_id: organization.to_uuid(),
            budget_id: id.to_uuid(),
            window_start: window.start.as_micros(),
            window_end: window.end.as_micros(),
            spent: 0,
            unresolved: 0,
        });
        notices.push(Notice {
            organization_id: *organization,
            kind: NoticeKind::BudgetExhausted,
            subject: format!("{id}/{}", window.start.as_micros()),
            data: told(&budget, &used, None, now),
        });
    }
    raise(connection, notices, now).await.map(|_| ())
}

/// Whether the window has used so much of its limit. Exact: no rounding, no floats.
fn reaches(budget: &Budget, window: &Window, percent: u8, now: Timestamp) -> bool {
    let start = Timestamp::from_micros(window.window_start);
    let limit = budget.limit_at(start, now, 0);
    let used = i128::from(window.spent) + i128::from(limit.past.get());
    used * 100 >= i128::from(limit.limit.get()) * i128::from(percent)
}

/// What the receiver is told of a window.
fn told(budget: &Budget, window: &Window, percent: Option<u8>, now: Timestamp) -> Value {
    let start = Timestamp::from_micros(window.window_start);
    let limit = budget.limit_at(start, now, 0);
    let mut data = json!({
        "organization_id": budget.organization_id, "budget_id": budget.id, "budget": budget.name,
        "enforcement": budget.enforcement, "limit": limit.limit,
        "spent": limit.past + NanoUsd::new(window.spent), "unresolved": NanoUsd::new(window.unresolved),
        "window_start": start,
        "window_end": (window.window_end != i64::MAX).then(|| Timestamp::from_micros(window.window_end)),
    });
    if let (Some(percent), Value::Object(fields)) = (percent, &mut data) {
        fields.insert("percent".to_owned(), json!(percent));
    }
    data
}

/// The budget; `None` for one that only a later release can read. It must not hold up what others used.
fn budget(content: Value) -> Option<Budget> {
    match later::read(content).ok()? {
        Resource::Budget(budget) => Some(budget),
        _ => None,
    }
}

/// The budgets of these windows that ask for alerts.
async fn with_alerts(connection: &mut PgConnection, windows: &[&Window]) -> Result<Vec<Budget>> {
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    let organizations: Vec<Uuid> = windows.iter().map(|window| window.organization_id).collect();
    let ids: Vec<Uuid> = windows.iter().map(|window| window.budget_id).collect();
    let rows: Vec<(Value,)> = sqlx::query_as(
        "SELECT DISTINCT c.content FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, budget_id)
         JOIN budgets b ON b.organization_id = k.organization_id AND b.budget_id = k.budget_id
         JOIN config_resources c
             ON c.organization_id = k.organization_id AND c.kind = 'budget' AND c.uid = k.budget_id
         WHERE b.alert_at_percent <> '{}' AND c.content IS NOT NULL",
    )
    .bind(&organizations)
    .bind(&ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|(content,)| budget(content)).collect())
}

type AlertKey = (Uuid, Uuid, i64, i16);

/// Notes alerts as due; returns those that were not noted before.
async fn note(
    connection: &mut PgConnection,
    due: &[(&Window, &Budget, u8)],
    now: Timestamp,
) -> Result<Vec<AlertKey>> {
    let organizations: Vec<Uuid> = due.iter().map(|(window, ..)| window.organization_id).collect();
    let budgets: Vec<Uuid> = due.iter().map(|(window, ..)| window.budget_id).collect();
    let starts: Vec<i64> = due.iter().map(|(window, ..)| window.window_start).collect();
    let percents: Vec<i16> = due.iter().map(|(.., percent)| i16::from(*percent)).collect();
    Ok(sqlx::query_as(
        "INSERT INTO budget_alerts (organization_id, budget_id, window_start, percent, due_at)
         SELECT *, $5 FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::smallint[])
         ON CONFLICT DO NOTHING RETURNING organization_id, budget_id, window_start, percent",
    )
    .bind(&organizations)
    .bind(&budgets)
    .bind(&starts)
    .bind(&percents)
    .bind(time(now))
    .fetch_all(connection)
    .await?)
}
