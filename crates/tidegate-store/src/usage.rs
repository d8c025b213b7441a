//! Usage reports, from the hourly roll-ups.

use chrono::{DateTime, Utc};
use tidegate_types::usage::Usage;
use tidegate_types::{KeyId, ModelId, NanoUsd, ProviderId, TeamId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::convert::{time, timestamp, unsigned, uuid_of};
use crate::counts::Counts;
use crate::document::Page;
use crate::tenant::TenantTx;

const DAY_MS: i64 = 86_400_000;

/// Length of a report's rows in time. Hours and days are UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named as its length")]
pub enum Interval {
    Hour,
    Day,
    /// One row for the whole span.
    Total,
}

/// What else a report's rows are split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is named as its dimension")]
pub enum Dimension {
    Team,
    Key,
    Model,
    Provider,
}

/// What to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// First instant (rounded down to the hour).
    pub from: Timestamp,
    /// First instant after the span (rounded down to the hour).
    pub to: Timestamp,
    /// Length of the rows.
    pub interval: Interval,
    /// Split by.
    pub by: Vec<Dimension>,
    /// Only this team.
    pub team: Option<TeamId>,
    /// Only this key.
    pub key: Option<KeyId>,
    /// Only this model.
    pub model: Option<ModelId>,
    /// Only this provider.
    pub provider: Option<ProviderId>,
}

impl Query {
    /// The last 30 days, today included, a row for each day.
    #[must_use]
    pub const fn last_30_days(now: Timestamp) -> Self {
        let tomorrow = (now.as_millis().div_euclid(DAY_MS) + 1) * DAY_MS;
        Self {
            from: Timestamp::from_millis(tomorrow - 30 * DAY_MS),
            to: Timestamp::from_millis(tomorrow),
            interval: Interval::Day,
            by: Vec::new(),
            team: None,
            key: None,
            model: None,
            provider: None,
        }
    }
}

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// First instant of the row's hour or day; `None` for totals.
    pub start: Option<Timestamp>,
    /// The team, when split by it.
    pub team_id: Option<TeamId>,
    /// The key, when split by it.
    pub key_id: Option<KeyId>,
    /// The model, when split by it; `None` also for calls that named no known model.
    pub model_id: Option<ModelId>,
    /// The provider, when split by it; `None` also for calls that reached none.
    pub provider_id: Option<ProviderId>,
    /// Calls that were sent upstream.
    pub request_count: u64,
    /// The other calls.
    pub refused_count: u64,
    /// Calls that failed upstream.
    pub error_count: u64,
    /// Everything metered.
    pub total_cost: NanoUsd,
    /// The part of it that the organization pays its providers itself.
    pub byok_cost: NanoUsd,
    /// Everything that was metered, but calls.
    pub usage: Usage,
}

#[derive(sqlx::FromRow)]
struct Sums {
    start: Option<DateTime<Utc>>,
    team_id: Option<Uuid>,
    key_id: Option<Uuid>,
    model_id: Option<Uuid>,
    provider_id: Option<Uuid>,
    request_count: i64,
    refused_count: i64,
    error_count: i64,
    cost: i64,
    byok_cost: i64,
    #[sqlx(flatten)]
    counts: Counts,
}

fn row(sums: &Sums) -> Row {
    let present = |id: Option<Uuid>| id.filter(|id| !id.is_nil());
    Row {
        start: sums.start.map(timestamp),
        team_id: sums.team_id.map(TeamId::from_uuid),
        key_id: sums.key_id.map(KeyId::from_uuid),
        model_id: present(sums.model_id).map(ModelId::from_uuid),
        provider_id: present(sums.provider_id).map(ProviderId::from_uuid),
        request_count: unsigned(sums.request_count),
        refused_count: unsigned(sums.refused_count),
        error_count: unsigned(sums.error_count),
        total_cost: NanoUsd::new(sums.cost),
        byok_cost: NanoUsd::new(sums.byok_cost),
        usage: sums.counts.usage(),
    }
}

/// A page of the report, in the order of time and ids, from row `offset` on. A report by day that
/// is split by nothing also has the days without any use.
///
/// # Errors
/// When the database is away.
pub async fn report(tx: &mut TenantTx, query: &Query, offset: u32, limit: u32) -> Result<Page<Row>> {
    let by_day = query.interval == Interval::Day && query.by.is_empty();
    // A report by day is short and is paged after its gaps are filled.
    let (first, most) = if by_day { (0, i64::MAX) } else { (i64::from(offset), i64::from(limit) + 1) };
    let rows = sums(tx, query, first, most).await?.iter().map(row).collect();
    if !by_day {
        return Ok(Page::of(rows, limit));
    }
    let rest = with_every_day(query, rows).into_iter().skip(offset as usize).collect();
    Ok(Page::of(rest, limit))
}

async fn sums(tx: &mut TenantTx, query: &Query, offset: i64, limit: i64) -> Result<Vec<Sums>> {
    let interval = match query.interval {
        Interval::Hour => Some("hour"),
        Interval::Day => Some("day"),
        Interval::Total => None,
    };
    let by = |dimension| query.by.contains(&dimension);
    Ok(sqlx::query_as(
        "SELECT date_trunc($4, hour, 'UTC') AS start,
                CASE WHEN $5 THEN team_id END AS team_id, CASE WHEN $6 THEN key_id END AS key_id,
                CASE WHEN $7 THEN model_id END AS model_id, CASE WHEN $8 THEN provider_id END AS provider_id,
                sum(request_count)::bigint AS request_count, sum(refused_count)::bigint AS refused_count,
                sum(error_count)::bigint AS error_count, sum(cost)::bigint AS cost, sum(byok_cost)::bigint AS byok_cost,
                sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
                sum(cached_input_tokens)::bigint AS cached_input_tokens,
                sum(cache_creation_input_tokens)::bigint AS cache_creation_input_tokens,
                sum(reasoning_tokens)::bigint AS reasoning_tokens,
                sum(cache_creation_1h_input_tokens)::bigint AS cache_creation_1h_input_tokens,
                sum(audio_input_tokens)::bigint AS audio_input_tokens,
                sum(image_input_tokens)::bigint AS image_input_tokens,
                sum(audio_output_tokens)::bigint AS audio_output_tokens,
                sum(image_output_tokens)::bigint AS image_output_tokens,
                sum(images)::bigint AS images,
                sum(audio_seconds)::bigint AS audio_seconds,
                sum(characters)::bigint AS characters,
                sum(searches)::bigint AS searches,
                sum(video_seconds)::bigint AS video_seconds
         FROM usage_hourly
         WHERE organization_id = $1 AND hour >= date_trunc('hour', $2::timestamptz) AND hour < $3
             AND ($9::uuid IS NULL OR team_id = $9) AND ($10::uuid IS NULL OR key_id = $10)
             AND ($11::uuid IS NULL OR model_id = $11) AND ($12::uuid IS NULL OR provider_id = $12)
         GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5 OFFSET $13 LIMIT $14",
    )
    .bind(tx.organization())
    .bind(time(query.from))
    .bind(time(query.to))
    .bind(interval)
    .bind(by(Dimension::Team))
    .bind(by(Dimension::Key))
    .bind(by(Dimension::Model))
    .bind(by(Dimension::Provider))
    .bind(uuid_of(query.team))
    .bind(uuid_of(query.key))
    .bind(uuid_of(query.model))
    .bind(uuid_of(query.provider))
    .bind(offset)
    .bind(limit)
    .fetch_all(tx.connection())
    .await?)
}

fn with_every_day(query: &Query, rows: Vec<Row>) -> Vec<Row> {
    let (first, end) = (query.from.as_millis().div_euclid(DAY_MS), query.to.as_millis().div_euclid(DAY_MS));
    // Longer reports than ten years are not filled.
    if end.saturating_sub(first) > 3660 {
        return rows;
    }
    let mut rows = rows.into_iter().peekable();
    let mut days = Vec::new();
    for day in first..=end {
        let start = Some(Timestamp::from_millis(day * DAY_MS));
        match rows.next_if(|row| row.start == start) {
            Some(row) => days.push(row),
            None if start < Some(query.to) => days.push(Row { start, ..Row::default() }),
            None => {}
        }
    }
    days
}
