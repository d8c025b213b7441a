//! What a budget's window had used before nodes knew the budget.
//!
//! An attempt either names the budget among its holds, and is in `budget_spend`, or it does not,
//! and is counted here: nothing is missed and nothing is counted twice. Attempts that were running
//! when the budget was made end later, so that the amount is counted again for a while.

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_types::resource::{Budget, Past, Resource};
use tidegate_types::window::{Calendar, Window};
use tidegate_types::{BudgetId, ModelName, NanoUsd, OrganizationId, ProviderSlug, Timestamp};
use uuid::Uuid;

use super::{KIND, get};
use crate::actor::SystemActor;
use crate::change::{AuditNote, Change};
use crate::connect::Store;
use crate::convert::{time, uuid_of};
use crate::tenant::TenantTx;
use crate::{Result, Round, StoreError, document, notices, organizations};

/// The bound organization's calendar.
///
/// # Errors
/// When the database is away.
pub async fn calendar(tx: &mut TenantTx) -> Result<Calendar> {
    let organization = organizations::get(tx).await?.value;
    Calendar::new(&organization.time_zone, organization.week_start)
        .map_err(|_| StoreError::Unreadable("time zone"))
}

/// What a budget that is not stored yet finds spent in its present window; `None` outside a term.
///
/// # Errors
/// When the database is away.
pub async fn count(change: &mut Change, budget: &Budget) -> Result<Option<Past>> {
    let calendar = calendar(change).await?;
    let Some(window) = calendar.window(budget.window, change.now()) else { return Ok(None) };
    let amount = used(change, budget, window).await?;
    Ok(Some(Past { window_start: window.start, amount }))
}

/// Notes that the past of a budget is to be counted again for a while.
pub(super) async fn note(change: &mut Change, budget: &Budget) -> Result<()> {
    let calendar = calendar(change).await?;
    let Some(window) = calendar.window(budget.window, change.now()) else { return Ok(()) };
    let (organization, now) = (change.organization(), time(change.now()));
    sqlx::query(
        "INSERT INTO budget_pasts (organization_id, budget_id, window_end, since, counted_at) VALUES ($1, $2, $3, $4, $4)",
    )
    .bind(organization)
    .bind(budget.id.to_uuid())
    .bind(window.end.as_micros())
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Charges of the window's attempts that the budget covers and that did not know it, and what is
/// held for those of them that nobody has heard the end of.
async fn used(change: &mut Change, budget: &Budget, window: Window) -> Result<NanoUsd> {
    let scope = &budget.scope;
    let (organization, now) = (change.organization(), change.now());
    let tag = scope.tag.as_ref().map(|selector| selector.hash.as_bytes().as_slice());
    let (sum,): (i64,) = sqlx::query_as(
        "WITH found AS (
             SELECT DISTINCT ON (day, call_id, attempt) call_id, attempt, outcome, cost, holds FROM billing_events
             WHERE organization_id = $1
                 AND day >= (timestamptz 'epoch' + $3 * interval '1 microsecond')::date - 1
                 AND day <= (timestamptz 'epoch' + $4 * interval '1 microsecond')::date + 1
                 AND ('x' || left(translate(call_id::text, '-', ''), 12))::bit(48)::bigint * 1000 >= $3
                 AND ('x' || left(translate(call_id::text, '-', ''), 12))::bit(48)::bigint * 1000 < $5
                 AND ($6::uuid IS NULL OR team_id = $6) AND ($7::uuid IS NULL OR key_id = $7)
                 AND ($8::bytea IS NULL OR end_user = $8) AND ($9::bytea IS NULL OR $9 = ANY(tags))
                 AND ($10::text IS NULL OR model_id IN (
                     SELECT uid FROM config_resources WHERE kind = 'model' AND content->>'name' = $10))
                 AND ($11::text IS NULL OR provider_id IN (
                     SELECT uid FROM config_resources WHERE kind = 'provider' AND content->>'slug' = $11))
                 AND ($12 OR credential_type = 'system')
             ORDER BY day, call_id, attempt, kind)
         SELECT coalesce(sum(CASE
             WHEN outcome IN ('completed', 'interrupted') THEN cost
             WHEN outcome IN ('open', 'unresolved')
                 THEN (SELECT coalesce(max((h->>'amount')::bigint), 0) FROM jsonb_array_elements(
                     CASE outcome WHEN 'open' THEN coalesce((SELECT o.holds FROM open_attempts o
                         WHERE o.organization_id = $1 AND o.call_id = found.call_id AND o.attempt = found.attempt), holds)
                     ELSE holds END) h)
             ELSE 0 END), 0)::bigint
         FROM found WHERE NOT EXISTS (
             SELECT FROM jsonb_array_elements(holds) h WHERE (h->>'budget_id')::uuid = $2)",
    )
    .bind(organization)
    .bind(budget.id.to_uuid())
    .bind(window.start.as_micros().max(0))
    .bind(now.as_micros())
    .bind(window.end.as_micros())
    .bind(uuid_of(scope.team))
    .bind(uuid_of(scope.key))
    .bind(scope.end_user.as_ref().map(|selector| selector.hash.as_bytes().as_slice()))
    .bind(tag)
    .bind(scope.model.as_ref().map(ModelName::as_str))
    .bind(scope.provider.as_ref().map(ProviderSlug::as_str))
    .bind(budget.count_byok)
    .fetch_one(change.connection())
    .await?;
    Ok(NanoUsd::new(sum))
}

/// Budgets that are counted in one round.
const MOST: i64 = 1_000;

/// Counts pasts again: a few seconds after the budget was made, then ever more rarely, until
/// its window ends. What is done are budgets that changed.
///
/// What cannot be counted stays due. Where more are due than a round counts, one of each organization's comes before the
/// second of any, and which is drawn anew each time, so that whatever is due has its turn.
///
/// # Errors
/// When the database is away.
pub async fn recount(store: &Store, now: Timestamp) -> Result<Round> {
    let due: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT organization_id, budget_id FROM budget_pasts
         WHERE window_end > $1 AND counted_at <= $2 - least(interval '1 hour', greatest(interval '2 seconds', (counted_at - since) / 2))
         ORDER BY row_number() OVER (PARTITION BY organization_id ORDER BY random()), random() LIMIT $3",
    )
    .bind(now.as_micros())
    .bind(time(now))
    .bind(MOST)
    .fetch_all(store.feed())
    .await?;
    let mut round = Round::default();
    for (organization, budget) in due {
        let (organization, budget) = (OrganizationId::from_uuid(organization), BudgetId::from_uuid(budget));
        let one = recount_one(store, organization, budget, now).await;
        round.note(organization, one.map(usize::from))?;
    }
    Ok(round)
}

async fn recount_one(
    store: &Store,
    organization: OrganizationId,
    id: BudgetId,
    now: Timestamp,
) -> Result<bool> {
    let mut change = store.change(&SystemActor::new("budgets").acting_for(organization), now).await?;
    document::lock(&mut change, KIND, id, None).await?;
    let before = get(&mut change, id).await?.value;
    let past = count(&mut change, &before).await?;
    let at: DateTime<Utc> = time(now);
    sqlx::query("UPDATE budget_pasts SET counted_at = $3 WHERE organization_id = $1 AND budget_id = $2")
        .bind(organization.to_uuid())
        .bind(id.to_uuid())
        .bind(at)
        .execute(change.connection())
        .await?;
    // A window that ended since takes its past with it.
    let same = past.is_none_or(|past| {
        before.past == Some(past) || before.past.is_some_and(|known| known.window_start != past.window_start)
    });
    if same {
        change.save().await?;
        return Ok(false);
    }
    let amount = |past: Option<Past>| past.map(|past| json!({ "past": past.amount }));
    let audit = AuditNote {
        action: "budget.count_past",
        object: id.to_string(),
        before: amount(before.past),
        after: amount(past),
    };
    let after = Budget { past, ..before };
    notices::after_change(&mut change, &after).await?;
    change.write(Some(id.to_uuid()), &Resource::Budget(after), true)?;
    change.commit(audit).await?;
    Ok(true)
}
