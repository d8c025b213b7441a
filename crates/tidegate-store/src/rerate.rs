//! Booked charges, to be computed again; and adjustments of those that turn out otherwise.
//!
//! What a charge should be is not this crate's to say. An adjustment names the event that it adjusts,
//! has a batch of its own in the ledger, and moves budgets and roll-ups with it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use tidegate_types::resource::Price;
use tidegate_types::usage::Usage;
use tidegate_types::{CallId, NanoUsd, OrganizationId, PicoUsd, PriceId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::connect::Store;
use crate::convert::{from_json, time, uuid_of};
use crate::counts::Counts;
use crate::intake::{AttemptKey, Books, HoldRow, Side, add_to_budgets, add_to_usage, lock_node};

/// A booked charge of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Whose.
    pub organization_id: OrganizationId,
    /// Which call.
    pub call_id: CallId,
    /// Which attempt.
    pub attempt: u16,
    /// Whether a provider's bill decided it: there is nothing to compute.
    pub billed: bool,
    /// The price by which it was charged.
    pub price_id: Option<PriceId>,
    /// The policy's ceiling by which it was charged, where there was no price.
    pub ceiling: Option<PicoUsd>,
    /// What was metered.
    pub usage: Usage,
    /// An answer from the cache: charged so much of it, in percent.
    pub cached_percent: Option<u8>,
    /// What the event says.
    pub cost: NanoUsd,
    /// What adjustments added to it since.
    pub adjusted: NanoUsd,
    day: NaiveDate,
    node_id: Uuid,
}

/// Place of a line, in the order in which they are read.
pub type Place = (OrganizationId, CallId, u16);

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    day: NaiveDate,
    call_id: Uuid,
    attempt: i32,
    kind: String,
    node_id: Uuid,
    price_id: Option<Uuid>,
    ceiling_pico: Option<i64>,
    requests: i64,
    #[sqlx(flatten)]
    counts: Counts,
    cached_percent: Option<i16>,
    cost: i64,
    adjusted: i64,
}

fn line(row: &Row) -> Line {
    let requests = crate::convert::unsigned(row.requests);
    Line {
        organization_id: OrganizationId::from_uuid(row.organization_id),
        call_id: CallId::from_uuid(row.call_id),
        attempt: u16::try_from(row.attempt).unwrap_or(u16::MAX),
        billed: row.kind == "correction",
        price_id: row.price_id.map(PriceId::from_uuid),
        ceiling: row.ceiling_pico.map(PicoUsd::new),
        usage: Usage { requests, ..row.counts.usage() },
        cached_percent: row.cached_percent.and_then(|percent| u8::try_from(percent).ok()),
        cost: NanoUsd::new(row.cost),
        adjusted: NanoUsd::new(row.adjusted),
        day: row.day,
        node_id: row.node_id,
    }
}

/// Charges of calls begun from `from` on and before `to`, after a place, at most `limit`. `of`: one
/// organization's only.
///
/// # Errors
/// When the database is away.
pub async fn lines(
    store: &Store,
    of: Option<OrganizationId>,
    (from, to): (Timestamp, Timestamp),
    after: Option<Place>,
    limit: u16,
) -> Result<Vec<Line>> {
    let (organization, call, attempt) = after
        .map_or((Uuid::nil(), Uuid::nil(), -1), |(owner, call, attempt)| {
            (owner.to_uuid(), call.to_uuid(), i32::from(attempt))
        });
    let rows: Vec<Row> = sqlx::query_as(
        "WITH last AS (
             SELECT DISTINCT ON (e.organization_id, e.call_id, e.attempt) e.*,
                 (SELECT f.node_id FROM billing_events f WHERE f.organization_id = e.organization_id AND f.day = e.day
                     AND f.call_id = e.call_id AND f.attempt = e.attempt AND f.kind <> 'correction' LIMIT 1) AS shipped_by
             FROM billing_events e
             WHERE e.day >= ($1 AT TIME ZONE 'UTC')::date AND e.day <= ($2 AT TIME ZONE 'UTC')::date
                 AND ('x' || left(translate(e.call_id::text, '-', ''), 12))::bit(48)::bigint >= $3
                 AND ('x' || left(translate(e.call_id::text, '-', ''), 12))::bit(48)::bigint < $4
                 AND ($5::uuid IS NULL OR e.organization_id = $5)
                 AND (e.organization_id, e.call_id, e.attempt) > ($6, $7, $8)
             ORDER BY e.organization_id, e.call_id, e.attempt, e.kind)
         SELECT l.organization_id, l.day, l.call_id, l.attempt, l.kind, coalesce(l.shipped_by, l.node_id) AS node_id, l.price_id,
             l.ceiling_pico, l.requests, l.input_tokens, l.output_tokens, l.cached_input_tokens, l.cache_creation_input_tokens,
             l.reasoning_tokens, l.cache_creation_1h_input_tokens, l.audio_input_tokens, l.image_input_tokens,
             l.audio_output_tokens, l.image_output_tokens, l.images, l.audio_seconds, l.characters, l.searches,
             l.video_seconds, l.cached_percent, l.cost,
             coalesce((SELECT sum(a.amount) FROM charge_adjustments a WHERE a.organization_id = l.organization_id
                 AND a.day = l.day AND a.call_id = l.call_id AND a.attempt = l.attempt), 0)::bigint AS adjusted
         FROM last l WHERE l.outcome IN ('completed', 'interrupted')
         ORDER BY l.organization_id, l.call_id, l.attempt LIMIT $9",
    )
    .bind(time(from))
    .bind(time(to))
    .bind(from.as_millis())
    .bind(to.as_millis())
    .bind(uuid_of(of))
    .bind(organization)
    .bind(call)
    .bind(attempt)
    .bind(i64::from(limit))
    .fetch_all(store.feed())
    .await?;
    Ok(rows.iter().map(line).collect())
}

/// For each of these prices all prices of its offering, whoever owns them.
///
/// # Errors
/// When the database is away.
pub async fn relatives(store: &Store, ids: &[PriceId]) -> Result<HashMap<PriceId, Vec<Price>>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.to_uuid()).collect();
    let rows: Vec<(Uuid, Value)> = sqlx::query_as(
        "SELECT p.price_id, r.content FROM prices p
         JOIN prices r ON r.organization_id = p.organization_id AND r.offering_id = p.offering_id
         WHERE p.price_id = ANY($1)",
    )
    .bind(&ids)
    .fetch_all(store.feed())
    .await?;
    let mut found: HashMap<PriceId, Vec<Price>> = HashMap::new();
    for (id, content) in rows {
        found.entry(PriceId::from_uuid(id)).or_default().push(from_json(content, "price")?);
    }
    Ok(found)
}

/// Why and by whom a charge is adjusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment<'a> {
    /// What the charge should be.
    pub charge: NanoUsd,
    /// The price that says so.
    pub price_id: Option<PriceId>,
    /// Who asked.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
}

#[derive(sqlx::FromRow)]
struct Booked {
    kind: String,
    cost: i64,
    holds: Value,
    team_id: Uuid,
    key_id: Uuid,
    model_id: Uuid,
    provider_id: Uuid,
    credential_type: String,
    from_cache: bool,
    adjusted: i64,
    count: i64,
}

async fn booked(connection: &mut PgConnection, key: &AttemptKey) -> Result<Option<Booked>> {
    Ok(sqlx::query_as(
        "SELECT e.kind, e.cost, e.holds, e.team_id, e.key_id, e.model_id, e.provider_id, e.credential_type,
             e.cached_percent IS NOT NULL AS from_cache, coalesce(a.sum, 0)::bigint AS adjusted, coalesce(a.count, 0)::bigint AS count
         FROM billing_events e LEFT JOIN LATERAL (
             SELECT sum(amount), count(*) FROM charge_adjustments a WHERE a.organization_id = e.organization_id
                 AND a.day = e.day AND a.call_id = e.call_id AND a.attempt = e.attempt) a ON true
         WHERE e.organization_id = $1 AND e.day = $2 AND e.call_id = $3 AND e.attempt = $4 ORDER BY e.kind LIMIT 1",
    )
    .bind(key.organization_id)
    .bind(key.day)
    .bind(key.call_id)
    .bind(key.attempt)
    .fetch_optional(connection)
    .await?)
}

/// Adjusts a charge to what it should be. False: it is so already, or a provider's bill has decided
/// it meanwhile.
///
/// # Errors
/// When the database is away.
pub async fn adjust(store: &Store, line: &Line, to: &Adjustment<'_>, now: Timestamp) -> Result<bool> {
    let key = AttemptKey {
        organization_id: line.organization_id.to_uuid(),
        day: line.day,
        call_id: line.call_id.to_uuid(),
        attempt: i32::from(line.attempt),
    };
    let mut tx = store.feed().begin().await?;
    lock_node(&mut tx, line.node_id).await?;
    let Some(booked) = booked(&mut tx, &key).await? else { return Ok(false) };
    let amount = to.charge.get() - booked.cost - booked.adjusted;
    if booked.kind == "correction" || amount == 0 {
        return Ok(false);
    }
    write(&mut tx, &key, &booked, amount, to, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Takes the adjustments of an attempt back: a provider's bill decides it from now on.
pub(crate) async fn take_back(connection: &mut PgConnection, key: &AttemptKey, now: Timestamp) -> Result<()> {
    let Some(booked) = booked(connection, key).await? else { return Ok(()) };
    if booked.adjusted == 0 {
        return Ok(());
    }
    let to = Adjustment {
        charge: NanoUsd::new(booked.cost),
        price_id: None,
        actor: "system:reconcile",
        reason: "the provider's bill decides",
    };
    let amount = -booked.adjusted;
    write(connection, key, &booked, amount, &to, now).await
}

async fn write(
    connection: &mut PgConnection,
    key: &AttemptKey,
    booked: &Booked,
    amount: i64,
    to: &Adjustment<'_>,
    now: Timestamp,
) -> Result<()> {
    let batch = post(connection, key, booked, amount, now).await?;
    sqlx::query(
        "INSERT INTO charge_adjustments (organization_id, day, call_id, attempt, n, kind, amount, price_id, at, actor,
             reason, batch_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(key.organization_id)
    .bind(key.day)
    .bind(key.call_id)
    .bind(key.attempt)
    .bind(i32::try_from(booked.count + 1).unwrap_or(i32::MAX))
    .bind(&booked.kind)
    .bind(amount)
    .bind(uuid_of(to.price_id))
    .bind(time(now))
    .bind(to.actor)
    .bind(to.reason)
    .bind(batch)
    .execute(&mut *connection)
    .await?;
    let mut books = Books::default();
    let holds: Vec<HoldRow> = from_json(booked.holds.clone(), "holds")?;
    for hold in holds {
        books.add_spend(key.organization_id, hold, amount, 0);
    }
    let byok = booked.credential_type != "system";
    books.add_cost(key, [booked.team_id, booked.key_id, booked.model_id, booked.provider_id], amount, byok);
    add_to_budgets(connection, &books.budgets, now).await?;
    add_to_usage(connection, &books).await
}

async fn post(
    connection: &mut PgConnection,
    key: &AttemptKey,
    booked: &Booked,
    amount: i64,
    now: Timestamp,
) -> Result<i64> {
    let at: DateTime<Utc> = time(now);
    let (batch,): (i64,) = sqlx::query_as(
        "INSERT INTO ledger_batches (organization_id, node_id, recorded_at, kind) VALUES ($1, $2, $3, 'rerate')
         RETURNING batch_id",
    )
    .bind(key.organization_id)
    .bind(Uuid::nil())
    .bind(at)
    .fetch_one(&mut *connection)
    .await?;
    let (debit, credit) = Side::of(booked.credential_type == "system", booked.from_cache).accounts();
    sqlx::query(
        "INSERT INTO ledger_postings (organization_id, batch_id, account, provider_id, nano_usd)
         VALUES ($1, $2, $3, $6, $5), ($1, $2, $4, $7, -$5)",
    )
    .bind(key.organization_id)
    .bind(batch)
    .bind(debit)
    .bind(credit)
    .bind(amount)
    .bind(Uuid::nil())
    .bind(booked.provider_id)
    .execute(connection)
    .await?;
    Ok(batch)
}
