//! Usage reports: from the hourly roll-ups where they have all that is asked, else from events and
//! call records themselves.

mod detail;

use chrono::{DateTime, Utc};
use tidegate_types::usage::Usage;
use tidegate_types::{KeyId, LabelHash, ModelId, NanoUsd, ProviderId, TeamId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::convert::{time, timestamp, unsigned, uuid_of};
use crate::counts::Counts;
use crate::document::Page;
use crate::tenant::TenantTx;

const DAY_MS: i64 = 86_400_000;

/// Length of a report's rows in time, in the report's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named as its length")]
pub enum Interval {
    Hour,
    Day,
    Month,
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
    /// End users, by the keyed hash of their id.
    User,
    /// Tags, by the keyed hash of `name=value`. A call with several tags is in several rows.
    Tag,
    CredentialType,
}

impl Dimension {
    /// Whether the roll-ups do not have it.
    const fn is_fine(self) -> bool {
        matches!(self, Self::User | Self::Tag | Self::CredentialType)
    }
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
    /// IANA time zone of hours, days and months.
    pub zone: String,
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
    /// Only this end user.
    pub user: Option<LabelHash>,
    /// Only calls with this tag.
    pub tag: Option<LabelHash>,
    /// Only over credentials of this type: `system`, `byok` or `client`.
    pub credential_type: Option<String>,
}

impl Query {
    /// The last 30 days, today included, a row for each day, UTC.
    #[must_use]
    pub fn last_30_days(now: Timestamp) -> Self {
        let tomorrow = (now.as_millis().div_euclid(DAY_MS) + 1) * DAY_MS;
        Self {
            from: Timestamp::from_millis(tomorrow - 30 * DAY_MS),
            to: Timestamp::from_millis(tomorrow),
            interval: Interval::Day,
            zone: "UTC".to_owned(),
            by: Vec::new(),
            team: None,
            key: None,
            model: None,
            provider: None,
            user: None,
            tag: None,
            credential_type: None,
        }
    }

    const fn interval_name(&self) -> Option<&'static str> {
        match self.interval {
            Interval::Hour => Some("hour"),
            Interval::Day => Some("day"),
            Interval::Month => Some("month"),
            Interval::Total => None,
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
    /// The end user, when split by it; `None` also for calls that named none.
    pub user: Option<LabelHash>,
    /// The tag, when split by it; `None` also for calls without any.
    pub tag: Option<LabelHash>,
    /// Who paid the provider, when split by it; `None` also for calls that reached none.
    pub credential_type: Option<String>,
    /// Calls that were sent upstream.
    pub request_count: u64,
    /// The other calls.
    pub refused_count: u64,
    /// Calls that were answered from the response cache.
    pub cache_hit_count: u64,
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
    end_user: Option<Vec<u8>>,
    tag: Option<Vec<u8>>,
    credential_type: Option<String>,
    request_count: i64,
    refused_count: i64,
    cache_hit_count: i64,
    error_count: i64,
    cost: i64,
    byok_cost: i64,
    #[sqlx(flatten)]
    counts: Counts,
}

fn row(sums: &Sums) -> Row {
    let present = |id: Option<Uuid>| id.filter(|id| !id.is_nil());
    let label = |bytes: &Option<Vec<u8>>| {
        let bytes: [u8; 16] = bytes.as_deref()?.try_into().ok()?;
        Some(LabelHash::from_bytes(bytes))
    };
    Row {
        start: sums.start.map(timestamp),
        team_id: sums.team_id.map(TeamId::from_uuid),
        key_id: sums.key_id.map(KeyId::from_uuid),
        model_id: present(sums.model_id).map(ModelId::from_uuid),
        provider_id: present(sums.provider_id).map(ProviderId::from_uuid),
        user: label(&sums.end_user),
        tag: label(&sums.tag),
        credential_type: sums.credential_type.clone(),
        request_count: unsigned(sums.request_count),
        refused_count: unsigned(sums.refused_count),
        cache_hit_count: unsigned(sums.cache_hit_count),
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
    let rows = if is_rolled_up(tx, query).await? {
        sums(tx, query, first, most).await?
    } else {
        detail::sums(tx, query, first, most).await?
    };
    let rows: Vec<Row> = rows.iter().map(row).collect();
    if !by_day {
        return Ok(Page::of(rows, limit));
    }
    let rest = with_every_day(tx, query, rows).await?.into_iter().skip(offset as usize).collect();
    Ok(Page::of(rest, limit))
}

/// A report's rows, however many: read part by part within one transaction, so that they are all of
/// one moment.
#[derive(Debug)]
pub struct Rows {
    tx: TenantTx,
}

impl Rows {
    /// Begins to read.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn open(mut tx: TenantTx, query: &Query) -> Result<Self> {
        detail::declare(&mut tx, query).await?;
        Ok(Self { tx })
    }

    /// The next rows, at most `most`; empty at the end.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn next(&mut self, most: u16) -> Result<Vec<Row>> {
        Ok(detail::fetch(&mut self.tx, most).await?.iter().map(row).collect())
    }

    /// The transaction, for names of what the rows name.
    pub const fn tx(&mut self) -> &mut TenantTx {
        &mut self.tx
    }
}

/// Whether the roll-ups have all that is asked: they know no labels, and their hours are whole ones
/// of the world's clock.
async fn is_rolled_up(tx: &mut TenantTx, query: &Query) -> Result<bool> {
    let filtered = query.user.is_some() || query.tag.is_some() || query.credential_type.is_some();
    if filtered || query.by.iter().any(|dimension| dimension.is_fine()) {
        return Ok(false);
    }
    if query.zone == "UTC" || query.interval == Interval::Total {
        return Ok(true);
    }
    // Twice a month: offsets that are no whole hours last for months.
    let (whole,): (Option<bool>,) = sqlx::query_as(
        "SELECT bool_and(extract(minute FROM at AT TIME ZONE $3) = 0)
         FROM generate_series(date_trunc('hour', $1::timestamptz), $2::timestamptz, interval '360 hours') AS at",
    )
    .bind(time(query.from))
    .bind(time(query.to))
    .bind(&query.zone)
    .fetch_one(tx.connection())
    .await?;
    Ok(whole.unwrap_or(false))
}

async fn sums(tx: &mut TenantTx, query: &Query, offset: i64, limit: i64) -> Result<Vec<Sums>> {
    let by = |dimension| query.by.contains(&dimension);
    Ok(sqlx::query_as(
        "SELECT date_trunc($4, hour, $15) AS start,
                CASE WHEN $5 THEN team_id END AS team_id, CASE WHEN $6 THEN key_id END AS key_id,
                CASE WHEN $7 THEN model_id END AS model_id, CASE WHEN $8 THEN provider_id END AS provider_id,
                NULL::bytea AS end_user, NULL::bytea AS tag, NULL::text AS credential_type,
                sum(request_count)::bigint AS request_count, sum(refused_count)::bigint AS refused_count,
                coalesce(sum(cache_hit_count), 0)::bigint AS cache_hit_count,
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
    .bind(query.interval_name())
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
    .bind(&query.zone)
    .fetch_all(tx.connection())
    .await?)
}

async fn with_every_day(tx: &mut TenantTx, query: &Query, rows: Vec<Row>) -> Result<Vec<Row>> {
    // Longer reports than ten years are not filled.
    if query.to.as_millis().saturating_sub(query.from.as_millis()) > 3660 * DAY_MS {
        return Ok(rows);
    }
    let days: Vec<(DateTime<Utc>,)> = sqlx::query_as(
        "SELECT day::timestamp AT TIME ZONE $3 FROM generate_series(($1::timestamptz AT TIME ZONE $3)::date,
             (($2::timestamptz - interval '1 microsecond') AT TIME ZONE $3)::date, interval '1 day') AS day",
    )
    .bind(time(query.from))
    .bind(time(query.to))
    .bind(&query.zone)
    .fetch_all(tx.connection())
    .await?;
    let mut rows = rows.into_iter().peekable();
    let filled = days.into_iter().map(|(day,)| {
        let start = Some(timestamp(day));
        rows.next_if(|row| row.start == start).unwrap_or(Row { start, ..Row::default() })
    });
    Ok(filled.collect())
}
