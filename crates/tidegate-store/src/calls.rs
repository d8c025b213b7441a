//! Call records: one per call, refusals included. Written by the intake; read here.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use tidegate_types::resource::Areas;
use tidegate_types::usage::CallRecord;
use tidegate_types::{
    CallId, KeyId, LabelHash, ModelId, NanoUsd, OrganizationId, Revision, RouteId, TeamId, Timestamp,
    TraceParent,
};
use uuid::Uuid;

use crate::convert::{from_json, from_name, shard, time, timestamp, unsigned, uuid_of};
use crate::document::one_more;
use crate::tenant::TenantTx;
use crate::{Page, Result, StoreError};

/// Which calls to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Begun at this time or later.
    pub from: Timestamp,
    /// Begun before this time.
    pub to: Timestamp,
    /// Only this team's.
    pub team: Option<TeamId>,
    /// Only this key's.
    pub key: Option<KeyId>,
    /// Only this model's.
    pub model: Option<ModelId>,
    /// Only those that ended with this HTTP status.
    pub status: Option<u16>,
}

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    call_id: Uuid,
    at: DateTime<Utc>,
    team_id: Uuid,
    key_id: Uuid,
    surface: String,
    stream: bool,
    model_id: Option<Uuid>,
    route_id: Option<Uuid>,
    status: i32,
    outcome: Value,
    attempts: Value,
    usage: Value,
    cost: i64,
    ttft_ms: Option<i64>,
    duration_ms: i64,
    overhead_us: i64,
    end_user: Option<Vec<u8>>,
    session: Option<Vec<u8>>,
    app: Option<Vec<u8>>,
    tags: Vec<Vec<u8>>,
    shard: i16,
    revision_n: i64,
    zdr: String,
    inference_regions: Option<String>,
    plan: Option<Value>,
    trace_parent: Option<Vec<u8>>,
    cached_from: Option<Uuid>,
}

fn record(row: Row) -> Result<CallRecord> {
    Ok(CallRecord {
        call_id: CallId::from_uuid(row.call_id),
        at: timestamp(row.at),
        organization_id: OrganizationId::from_uuid(row.organization_id),
        team_id: TeamId::from_uuid(row.team_id),
        key_id: KeyId::from_uuid(row.key_id),
        surface: from_name(&row.surface)?,
        stream: row.stream,
        model_id: row.model_id.map(ModelId::from_uuid),
        route_id: row.route_id.map(RouteId::from_uuid),
        status: u16::try_from(row.status).unwrap_or(0),
        outcome: from_json(row.outcome, "outcome")?,
        attempts: from_json(row.attempts, "attempts")?,
        usage: from_json(row.usage, "usage")?,
        cost: NanoUsd::new(row.cost),
        ttft_ms: row.ttft_ms.map(count),
        duration_ms: count(row.duration_ms),
        overhead_us: count(row.overhead_us),
        end_user: row.end_user.map(label).transpose()?,
        session: row.session.map(label).transpose()?,
        app: row.app.map(label).transpose()?,
        tags: row.tags.into_iter().map(label).collect::<Result<_>>()?,
        revision: Revision { shard: shard(row.shard)?, n: unsigned(row.revision_n) },
        zdr: from_name(&row.zdr)?,
        inference_regions: row.inference_regions.as_deref().map(areas).transpose()?,
        plan: row.plan.map(|plan| from_json(plan, "plan")).transpose()?,
        trace: row.trace_parent.as_deref().and_then(TraceParent::from_bytes),
        cached_from: row.cached_from.map(CallId::from_uuid),
    })
}

fn areas(names: &str) -> Result<Areas> {
    names.parse().map_err(|_| StoreError::Unreadable("inference_regions"))
}

fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn label(bytes: Vec<u8>) -> Result<LabelHash> {
    bytes.try_into().map(LabelHash::from_bytes).map_err(|_| StoreError::Unreadable("label"))
}

/// The record of one call.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(tx: &mut TenantTx, id: CallId) -> Result<CallRecord> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT organization_id, call_id, at, team_id, key_id, surface, stream, model_id, route_id, status, outcome,
             attempts, usage, cost, ttft_ms, duration_ms, overhead_us, end_user, session, app, tags, shard, revision_n, zdr, plan,
             trace_parent, cached_from, inference_regions
         FROM call_records
         WHERE organization_id = $1 AND day = id_day($2) AND call_id = $2",
    )
        .bind(tx.organization())
        .bind(id.to_uuid())
        .fetch_optional(tx.connection())
        .await?;
    record(row.ok_or(StoreError::NotFound)?)
}

/// Where a page of calls begins: at this call, or behind the last day of all.
fn begin(before: Option<CallId>, to: Timestamp) -> (NaiveDate, Uuid) {
    let day = |id: CallId| DateTime::from_timestamp_millis(i64::try_from(id.unix_ms()).ok()?);
    let last = time(to.plus_millis(2 * 86_400_000));
    let id = before.map_or(Uuid::max(), CallId::to_uuid);
    (before.and_then(day).unwrap_or(last).date_naive(), id)
}

/// A page of records, newest first, of calls that began before `before`.
///
/// # Errors
/// When the database is away.
pub async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    before: Option<CallId>,
    limit: u32,
) -> Result<Page<CallRecord>> {
    // The day comes from the call's id, which its node's clock made: a day more on both sides.
    // Calls are in the index by day and id, and ids are in order of time: a page begins where the last one ended,
    // however many calls there are. The bounds are plain arguments, because behind row-level security the planner
    // takes no others for bounds of an index.
    let (day, before) = begin(before, filter.to);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT organization_id, call_id, at, team_id, key_id, surface, stream, model_id, route_id, status, outcome,
             attempts, usage, cost, ttft_ms, duration_ms, overhead_us, end_user, session, app, tags, shard, revision_n, zdr, plan,
             trace_parent, cached_from, inference_regions
         FROM call_records
         WHERE organization_id = $1 AND at >= $2 AND at < $3
             AND day >= ($2::timestamptz AT TIME ZONE 'UTC')::date - 1
             AND day <= ($3::timestamptz AT TIME ZONE 'UTC')::date + 1
             AND (day, call_id) < ($10, $4) AND ($5::uuid IS NULL OR team_id = $5)
             AND ($6::uuid IS NULL OR key_id = $6) AND ($7::uuid IS NULL OR model_id = $7)
             AND ($8::integer IS NULL OR status = $8)
         ORDER BY day DESC, call_id DESC LIMIT $9",
    )
    .bind(tx.organization())
    .bind(time(filter.from))
    .bind(time(filter.to))
    .bind(before)
    .bind(uuid_of(filter.team))
    .bind(uuid_of(filter.key))
    .bind(uuid_of(filter.model))
    .bind(filter.status.map(i32::from))
    .bind(one_more(limit))
    .bind(day)
    .fetch_all(tx.connection())
    .await?;
    let records: Result<Vec<_>> = rows.into_iter().map(record).collect();
    Ok(Page::of(records?, limit))
}

/// The records of these calls, those that are there.
pub(crate) async fn of(tx: &mut TenantTx, calls: &[CallId]) -> Result<Vec<CallRecord>> {
    let calls: Vec<Uuid> = calls.iter().map(|call| call.to_uuid()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT r.organization_id, r.call_id, r.at, r.team_id, r.key_id, r.surface, r.stream, r.model_id, r.route_id,
             r.status, r.outcome, r.attempts, r.usage, r.cost, r.ttft_ms, r.duration_ms, r.overhead_us, r.end_user,
             r.session, r.app, r.tags, r.shard, r.revision_n, r.zdr, r.plan,
             r.trace_parent, r.cached_from, r.inference_regions
         FROM unnest($2::uuid[]) AS k (call_id)
         JOIN call_records r ON r.organization_id = $1 AND r.day = id_day(k.call_id) AND r.call_id = k.call_id",
    )
    .bind(tx.organization())
    .bind(&calls)
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(record).collect()
}
