//! Records as rows: handed to Postgres as one JSON array for each batch.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_types::usage::{BillingEvent, CallRecord, HeldBudget, RecordKey, Usage};
use tidegate_types::{CallId, LabelHash, NanoUsd, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::convert::{name_of, shard_index, signed, time, to_json, uuid_of};

/// One attempt; the day is derived from the call's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptKey {
    pub(crate) organization_id: Uuid,
    pub(crate) day: NaiveDate,
    pub(crate) call_id: Uuid,
    pub(crate) attempt: i32,
}

/// A budget's part of a hold, in numbers: windows in microseconds, amounts in nano-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldRow {
    pub(crate) budget_id: Uuid,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) amount: i64,
}

impl HoldRow {
    pub(super) fn new(held: &HeldBudget) -> Self {
        Self {
            budget_id: held.budget_id.to_uuid(),
            start: held.window_start.as_micros(),
            end: held.window_end.as_micros(),
            amount: held.amount.get(),
        }
    }
}

/// A row of `billing_events`.
#[derive(Debug, Serialize)]
pub(super) struct EventRow {
    organization_id: Uuid,
    day: NaiveDate,
    call_id: Uuid,
    attempt: i32,
    kind: String,
    at: DateTime<Utc>,
    node_id: Uuid,
    boot: i64,
    lane: i32,
    sequence: i64,
    team_id: Uuid,
    key_id: Uuid,
    model_id: Uuid,
    provider_id: Uuid,
    offering_id: Uuid,
    credential_id: Option<Uuid>,
    credential_type: String,
    price_id: Option<Uuid>,
    ceiling_pico: Option<i64>,
    epoch: i64,
    holds: Vec<HoldRow>,
    deadline: DateTime<Utc>,
    outcome: String,
    method: String,
    #[serde(flatten)]
    usage: Usage,
    cost: i64,
    node_cost: i64,
    shard: i16,
    revision_n: i64,
    end_user: Option<String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_advance: Option<bool>,
}

impl EventRow {
    pub(super) fn new(place: &RecordKey, event: &BillingEvent, cost: NanoUsd) -> Result<Self> {
        Ok(Self {
            organization_id: event.organization_id.to_uuid(),
            day: day_of(event.call_id),
            call_id: event.call_id.to_uuid(),
            attempt: i32::from(event.attempt),
            kind: name_of(&event.kind)?,
            at: time(sane(event.at)),
            node_id: place.node_id.to_uuid(),
            boot: signed(place.boot),
            lane: i32::from(place.lane),
            sequence: signed(place.sequence),
            team_id: event.team_id.to_uuid(),
            key_id: event.key_id.to_uuid(),
            model_id: event.model_id.to_uuid(),
            provider_id: event.provider_id.to_uuid(),
            offering_id: event.offering_id.to_uuid(),
            credential_id: uuid_of(event.credential_id),
            credential_type: name_of(&event.credential_type)?,
            price_id: uuid_of(event.price_id),
            ceiling_pico: event.ceiling_pico,
            epoch: signed(event.epoch),
            holds: event.holds.iter().map(HoldRow::new).collect(),
            deadline: time(sane(event.deadline)),
            outcome: name_of(&event.outcome)?,
            method: name_of(&event.method)?,
            usage: event.usage,
            cost: cost.get(),
            node_cost: event.cost.get(),
            shard: shard_index(event.revision.shard),
            revision_n: signed(event.revision.n),
            end_user: event.end_user.as_ref().map(bytea),
            tags: event.tags.iter().map(bytea).collect(),
            cached_percent: event.cached_percent,
            in_advance: event.in_advance.then_some(true),
        })
    }

    pub(super) fn key(&self) -> super::EventKey {
        (self.organization_id, self.call_id, self.attempt, self.kind.clone())
    }

    pub(super) fn attempt_key(&self) -> AttemptKey {
        AttemptKey {
            organization_id: self.organization_id,
            day: self.day,
            call_id: self.call_id,
            attempt: self.attempt,
        }
    }
}

/// A row of `call_records`.
#[derive(Debug, Serialize)]
pub(super) struct CallRow {
    organization_id: Uuid,
    day: NaiveDate,
    call_id: Uuid,
    at: DateTime<Utc>,
    node_id: Uuid,
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
    end_user: Option<String>,
    session: Option<String>,
    app: Option<String>,
    tags: Vec<String>,
    shard: i16,
    revision_n: i64,
    zdr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_from: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_regions: Option<String>,
}

impl CallRow {
    pub(super) fn new(place: &RecordKey, call: &CallRecord) -> Result<Self> {
        Ok(Self {
            organization_id: call.organization_id.to_uuid(),
            day: day_of(call.call_id),
            call_id: call.call_id.to_uuid(),
            at: time(sane(call.at)),
            node_id: place.node_id.to_uuid(),
            team_id: call.team_id.to_uuid(),
            key_id: call.key_id.to_uuid(),
            surface: name_of(&call.surface)?,
            stream: call.stream,
            model_id: uuid_of(call.model_id),
            route_id: uuid_of(call.route_id),
            status: i32::from(call.status),
            outcome: to_json(&call.outcome, "outcome")?,
            attempts: to_json(&call.attempts, "attempts")?,
            usage: to_json(&call.usage, "usage")?,
            cost: call.cost.get(),
            ttft_ms: call.ttft_ms.map(i64::from),
            duration_ms: i64::from(call.duration_ms),
            overhead_us: i64::from(call.overhead_us),
            end_user: call.end_user.as_ref().map(bytea),
            session: call.session.as_ref().map(bytea),
            app: call.app.as_ref().map(bytea),
            tags: call.tags.iter().map(bytea).collect(),
            shard: shard_index(call.revision.shard),
            revision_n: signed(call.revision.n),
            zdr: name_of(&call.zdr)?,
            plan: call.plan.as_deref().map(|plan| to_json(plan, "plan")).transpose()?,
            trace_parent: call.trace.map(|trace| bytes(&trace.to_bytes())),
            cached_from: uuid_of(call.cached_from),
            inference_regions: call.inference_regions.map(|areas| areas.to_string()),
        })
    }
}

/// UTC day of a call's id.
pub(super) fn day_of(call: CallId) -> NaiveDate {
    hour_of(call).date_naive()
}

/// Start of the UTC hour of a call's id.
pub(super) fn hour_of(call: CallId) -> DateTime<Utc> {
    let hours = i64::try_from(call.unix_ms()).unwrap_or(i64::MAX) / 3_600_000;
    time(Timestamp::from_seconds(hours.saturating_mul(3600)))
}

/// A node's clock, held where Postgres and JSON can carry it.
fn sane(at: Timestamp) -> Timestamp {
    at.clamp(Timestamp::from_micros(0), Timestamp::from_seconds(7_258_118_400))
}

fn bytea(hash: &LabelHash) -> String {
    bytes(hash.as_bytes())
}

fn bytes(bytes: &[u8]) -> String {
    format!("\\x{}", hex::encode(bytes))
}
