//! The statements of the intake. Rows are locked in the order of their keys.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use tidegate_types::usage::BillingEvent;
use tidegate_types::{NodeId, Timestamp};
use uuid::Uuid;

use super::Shipped;
use super::books::{Advance, Books, Known, Spend, UsageChange, UsageKey, WindowKey};
use super::rows::{AttemptKey, HoldRow};
use crate::convert::{from_json, signed, time, to_json};
use crate::{Result, credits, notices};

/// What is stored of an attempt.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) events: Vec<Known>,
    /// What of it counts as unresolved already, because its node stayed away.
    pub(super) reaped: Option<Vec<HoldRow>>,
}

/// Keeps out what can never be stored.
pub(super) async fn refused(
    connection: &mut PgConnection,
    refused: &[(&Shipped, Option<&'static str>)],
) -> Result<()> {
    for (shipped, reason) in refused {
        sqlx::query(
            "INSERT INTO refused_records (node_id, boot, lane, sequence, reason) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
        )
        .bind(shipped.key.node_id.to_uuid())
        .bind(signed(shipped.key.boot))
        .bind(i32::from(shipped.key.lane))
        .bind(signed(shipped.key.sequence))
        .bind(reason.unwrap_or_default())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Everything that is stored of these attempts.
pub(super) async fn attempts(
    connection: &mut PgConnection,
    keys: &HashSet<AttemptKey>,
) -> Result<BTreeMap<AttemptKey, Attempt>> {
    let mut found: BTreeMap<AttemptKey, Attempt> = BTreeMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let (organizations, calls): (Vec<Uuid>, Vec<Uuid>) =
        keys.iter().map(|k| (k.organization_id, k.call_id)).unzip();
    let (days, numbers): (Vec<_>, Vec<i32>) = keys.iter().map(|k| (k.day, k.attempt)).unzip();
    let events: Vec<Known> = sqlx::query_as(
        "SELECT e.organization_id, e.day, e.call_id, e.attempt, e.kind, e.node_id, e.boot, e.team_id, e.key_id,
             e.model_id, e.provider_id, e.credential_type, e.holds, e.deadline, e.outcome, e.cost,
             e.epoch, coalesce(e.in_advance, false) AS in_advance, e.cached_percent IS NOT NULL AS from_cache, e.input_tokens,
             e.output_tokens, e.cached_input_tokens, e.cache_creation_input_tokens, e.reasoning_tokens,
             e.cache_creation_1h_input_tokens, e.audio_input_tokens, e.image_input_tokens, e.audio_output_tokens,
             e.image_output_tokens, e.images, e.audio_seconds, e.characters, e.searches, e.video_seconds
         FROM unnest($1::uuid[], $2::date[], $3::uuid[], $4::integer[]) AS k (organization_id, day, call_id, attempt)
         JOIN billing_events e USING (organization_id, day, call_id, attempt)",
    )
    .bind(&organizations)
    .bind(&days)
    .bind(&calls)
    .bind(&numbers)
    .fetch_all(&mut *connection)
    .await?;
    let reaped: Vec<(Uuid, Uuid, i32, Value)> = sqlx::query_as(
        "SELECT o.organization_id, o.call_id, o.attempt, o.holds
         FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS k (organization_id, call_id, attempt)
         JOIN open_attempts o USING (organization_id, call_id, attempt) WHERE o.reaped",
    )
    .bind(&organizations)
    .bind(&calls)
    .bind(&numbers)
    .fetch_all(connection)
    .await?;
    let mut held: HashMap<(Uuid, Uuid, i32), Vec<HoldRow>> = HashMap::new();
    for (organization, call, number, holds) in reaped {
        held.insert((organization, call, number), from_json(holds, "holds")?);
    }
    for event in events {
        let key = AttemptKey {
            organization_id: event.organization_id,
            day: event.day,
            call_id: event.call_id,
            attempt: event.attempt,
        };
        let attempt = found.entry(key).or_default();
        attempt.reaped = held.get(&(event.organization_id, event.call_id, event.attempt)).cloned();
        attempt.events.push(event);
    }
    Ok(found)
}

/// Notes attempts that have begun and not ended.
pub(super) async fn opened(connection: &mut PgConnection, opened: &[(&AttemptKey, &Known)]) -> Result<()> {
    if opened.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = opened
        .iter()
        .map(|(key, intent)| {
            json!({
                "organization_id": key.organization_id, "call_id": key.call_id, "attempt": key.attempt,
                "node_id": intent.node_id, "boot": intent.boot, "deadline": intent.deadline, "holds": intent.holds,
                "reaped": false,
            })
        })
        .collect();
    sqlx::query("INSERT INTO open_attempts SELECT * FROM jsonb_populate_recordset(NULL::open_attempts, $1) ON CONFLICT DO NOTHING")
        .bind(Value::Array(rows))
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes what is held for attempts whose holds were added to. What counts as unresolved of them
/// already grows with it.
pub(super) async fn stepped(
    connection: &mut PgConnection,
    steps: &BTreeMap<AttemptKey, &BillingEvent>,
    books: &mut Books,
) -> Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = steps
        .iter()
        .map(|(key, event)| {
            let holds: Vec<HoldRow> = event.holds.iter().map(HoldRow::new).collect();
            json!({
                "organization_id": key.organization_id, "call_id": key.call_id, "attempt": key.attempt,
                "step": event.step, "holds": holds,
            })
        })
        .collect();
    let changed: Vec<(Uuid, Value, Value)> = sqlx::query_as(
        "WITH later AS (
             SELECT o.organization_id, o.call_id, o.attempt, o.holds AS before, s.holds, s.step, o.reaped
             FROM jsonb_to_recordset($1)
                 AS s (organization_id uuid, call_id uuid, attempt integer, step integer, holds jsonb)
             JOIN open_attempts o USING (organization_id, call_id, attempt)
             WHERE coalesce(o.step, 0) < s.step
             ORDER BY o.organization_id, o.call_id, o.attempt FOR UPDATE OF o),
         written AS (
             UPDATE open_attempts o SET holds = l.holds, step = l.step FROM later l
             WHERE (o.organization_id, o.call_id, o.attempt) = (l.organization_id, l.call_id, l.attempt))
         SELECT organization_id, before, holds FROM later WHERE reaped",
    )
    .bind(Value::Array(rows))
    .fetch_all(connection)
    .await?;
    for (organization, before, after) in changed {
        for (holds, sign) in [(before, -1), (after, 1)] {
            for hold in from_json::<Vec<HoldRow>>(holds, "holds")? {
                books.add_spend(organization, hold, 0, sign * hold.amount);
            }
        }
    }
    Ok(())
}

/// Forgets attempts that have ended.
pub(super) async fn closed(connection: &mut PgConnection, closed: &[&AttemptKey]) -> Result<()> {
    if closed.is_empty() {
        return Ok(());
    }
    let organizations: Vec<Uuid> = closed.iter().map(|key| key.organization_id).collect();
    let calls: Vec<Uuid> = closed.iter().map(|key| key.call_id).collect();
    let numbers: Vec<i32> = closed.iter().map(|key| key.attempt).collect();
    sqlx::query(
        "DELETE FROM open_attempts o USING unnest($1::uuid[], $2::uuid[], $3::integer[]) AS k (organization_id, call_id, attempt)
         WHERE o.organization_id = k.organization_id AND o.call_id = k.call_id AND o.attempt = k.attempt",
    )
    .bind(&organizations)
    .bind(&calls)
    .bind(&numbers)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds the changes to roll-ups, budgets and ledger.
pub(crate) async fn books(
    connection: &mut PgConnection,
    books: &Books,
    node: NodeId,
    now: Timestamp,
) -> Result<()> {
    add_to_budgets(connection, &books.budgets, now).await?;
    add_to_advances(connection, &books.advances).await?;
    add_to_usage(connection, books).await?;
    post(connection, books, node, now).await
}

/// Adds to what budgets' windows have used. A budget whose window was made longer goes on in the
/// row that begins at the same time. Alerts that become due by it are noted with it.
pub(crate) async fn add_to_budgets(
    connection: &mut PgConnection,
    changes: &BTreeMap<WindowKey, Spend>,
    now: Timestamp,
) -> Result<()> {
    let rows: Vec<Value> = changes
        .iter()
        .filter(|(_, change)| (change.spent, change.unresolved) != (0, 0))
        .map(|(key, change)| {
            json!({
                "organization_id": key.organization_id, "budget_id": key.budget_id, "window_start": key.start,
                "window_end": change.end, "spent": change.spent, "unresolved": change.unresolved,
            })
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let used: Vec<notices::Window> = sqlx::query_as(
        "INSERT INTO budget_spend AS b SELECT * FROM jsonb_populate_recordset(NULL::budget_spend, $1)
         ON CONFLICT (organization_id, budget_id, window_start) DO UPDATE SET
             spent = b.spent + excluded.spent, unresolved = b.unresolved + excluded.unresolved,
             window_end = greatest(b.window_end, excluded.window_end)
         RETURNING b.organization_id, b.budget_id, b.window_start, b.window_end, b.spent, b.unresolved",
    )
    .bind(Value::Array(rows))
    .fetch_all(&mut *connection)
    .await?;
    credits::draw(connection, &used, now).await?;
    notices::thresholds(connection, &used, now).await
}

/// Adds to what processes used of what they had in advance.
async fn add_to_advances(
    connection: &mut PgConnection,
    changes: &BTreeMap<(Advance, WindowKey), Spend>,
) -> Result<()> {
    let rows: Vec<Value> = changes
        .iter()
        .filter(|(_, change)| (change.spent, change.unresolved) != (0, 0))
        .map(|((process, window), change)| {
            json!({
                "organization_id": window.organization_id, "node_id": process.node_id, "boot": process.boot,
                "epoch": process.epoch, "budget_id": window.budget_id, "window_start": window.start,
                "window_end": change.end, "spent": change.spent, "unresolved": change.unresolved,
            })
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO advance_spend AS a SELECT * FROM jsonb_populate_recordset(NULL::advance_spend, $1)
         ON CONFLICT (organization_id, node_id, boot, epoch, budget_id, window_start) DO UPDATE SET
             spent = a.spent + excluded.spent, unresolved = a.unresolved + excluded.unresolved,
             window_end = greatest(a.window_end, excluded.window_end)",
    )
    .bind(Value::Array(rows))
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds to the roll-ups.
pub(crate) async fn add_to_usage(connection: &mut PgConnection, books: &Books) -> Result<()> {
    let rows: Vec<Value> =
        books.usage.iter().map(|(key, change)| usage_row(key, change)).collect::<Result<_>>()?;
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO usage_hourly AS u SELECT * FROM jsonb_populate_recordset(NULL::usage_hourly, $1)
         ON CONFLICT (organization_id, hour, team_id, key_id, model_id, provider_id) DO UPDATE SET
             request_count = u.request_count + excluded.request_count,
             refused_count = u.refused_count + excluded.refused_count,
             error_count = u.error_count + excluded.error_count,
             cache_hit_count = coalesce(u.cache_hit_count, 0) + coalesce(excluded.cache_hit_count, 0),
             cost = u.cost + excluded.cost, byok_cost = u.byok_cost + excluded.byok_cost,
             input_tokens = u.input_tokens + excluded.input_tokens,
             output_tokens = u.output_tokens + excluded.output_tokens,
             cached_input_tokens = u.cached_input_tokens + excluded.cached_input_tokens,
             cache_creation_input_tokens = u.cache_creation_input_tokens + excluded.cache_creation_input_tokens,
             reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
             cache_creation_1h_input_tokens = u.cache_creation_1h_input_tokens + excluded.cache_creation_1h_input_tokens,
             audio_input_tokens = u.audio_input_tokens + excluded.audio_input_tokens,
             image_input_tokens = u.image_input_tokens + excluded.image_input_tokens,
             audio_output_tokens = u.audio_output_tokens + excluded.audio_output_tokens,
             image_output_tokens = u.image_output_tokens + excluded.image_output_tokens,
             images = u.images + excluded.images,
             audio_seconds = u.audio_seconds + excluded.audio_seconds,
             characters = u.characters + excluded.characters,
             searches = u.searches + excluded.searches,
             video_seconds = u.video_seconds + excluded.video_seconds,
             duration_ms = u.duration_ms + excluded.duration_ms",
    )
    .bind(Value::Array(rows))
    .execute(connection)
    .await?;
    Ok(())
}

/// A change as a row of the roll-up.
fn usage_row(key: &UsageKey, change: &UsageChange) -> Result<Value> {
    let mut row = to_json(&change.counts, "counts")?;
    let rest = json!({
        "organization_id": key.organization_id, "hour": key.hour, "team_id": key.team_id, "key_id": key.key_id,
        "model_id": key.model_id, "provider_id": key.provider_id, "request_count": change.request_count,
        "refused_count": change.refused_count, "error_count": change.error_count,
        "cache_hit_count": change.cache_hit_count, "cost": change.cost,
        "byok_cost": change.byok_cost, "duration_ms": change.duration_ms,
    });
    if let (Value::Object(row), Value::Object(rest)) = (&mut row, rest) {
        row.extend(rest);
    }
    Ok(row)
}

/// One balanced batch of postings for each organization that was charged.
async fn post(connection: &mut PgConnection, books: &Books, node: NodeId, now: Timestamp) -> Result<()> {
    let mut organizations: HashMap<Uuid, Vec<(&'static str, &'static str, Uuid, i64)>> = HashMap::new();
    for ((organization, provider, side), amount) in &books.charges {
        if *amount != 0 {
            let (debit, credit) = side.accounts();
            organizations.entry(*organization).or_default().push((debit, credit, *provider, *amount));
        }
    }
    for (organization, charges) in organizations {
        let (batch,): (i64,) = sqlx::query_as(
            "INSERT INTO ledger_batches (organization_id, node_id, recorded_at) VALUES ($1, $2, $3) RETURNING batch_id",
        )
        .bind(organization)
        .bind(node.to_uuid())
        .bind(time(now))
        .fetch_one(&mut *connection)
        .await?;
        let mut sums: BTreeMap<(&str, Uuid), i64> = BTreeMap::new();
        for (debit, credit, provider, amount) in charges {
            *sums.entry((debit, Uuid::nil())).or_default() += amount;
            *sums.entry((credit, provider)).or_default() -= amount;
        }
        let accounts: Vec<&str> = sums.keys().map(|(account, _)| *account).collect();
        let providers: Vec<Uuid> = sums.keys().map(|(_, provider)| *provider).collect();
        let amounts: Vec<i64> = sums.values().copied().collect();
        sqlx::query(
            "INSERT INTO ledger_postings (organization_id, batch_id, account, provider_id, nano_usd)
             SELECT $1, $2, * FROM unnest($3::text[], $4::uuid[], $5::bigint[])",
        )
        .bind(organization)
        .bind(batch)
        .bind(&accounts)
        .bind(&providers)
        .bind(&amounts)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
