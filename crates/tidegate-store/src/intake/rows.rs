//! Records as rows, in the types of their columns.

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
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) organization_id: Uuid,
    pub(super) day: NaiveDate,
    pub(super) call_id: Uuid,
    pub(super) attempt: i32,
    pub(super) kind: String,
    pub(super) at: DateTime<Utc>,
    pub(super) node_id: Uuid,
    pub(super) boot: i64,
    pub(super) lane: i32,
    pub(super) sequence: i64,
    pub(super) team_id: Uuid,
    pub(super) key_id: Uuid,
    pub(super) model_id: Uuid,
    pub(super) provider_id: Uuid,
    pub(super) offering_id: Uuid,
    pub(super) credential_id: Option<Uuid>,
    pub(super) credential_type: String,
    pub(super) price_id: Option<Uuid>,
    pub(super) ceiling_pico: Option<i64>,
    pub(super) epoch: i64,
    pub(super) holds: Vec<HoldRow>,
    pub(super) deadline: DateTime<Utc>,
    pub(super) outcome: String,
    pub(super) method: String,
    pub(super) usage: Usage,
    pub(super) cost: i64,
    pub(super) node_cost: i64,
    pub(super) shard: i16,
    pub(super) revision_n: i64,
    pub(super) end_user: Option<String>,
    /// An array of `bytea`, as text.
    pub(super) tags: String,
    pub(super) cached_percent: Option<i16>,
    pub(super) in_advance: Option<bool>,
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
            tags: list(&event.tags),
            cached_percent: event.cached_percent.map(i16::from),
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
#[derive(Debug)]
pub(super) struct CallRow {
    pub(super) organization_id: Uuid,
    pub(super) day: NaiveDate,
    pub(super) call_id: Uuid,
    pub(super) at: DateTime<Utc>,
    pub(super) node_id: Uuid,
    pub(super) team_id: Uuid,
    pub(super) key_id: Uuid,
    pub(super) surface: String,
    pub(super) stream: bool,
    pub(super) model_id: Option<Uuid>,
    pub(super) route_id: Option<Uuid>,
    pub(super) status: i32,
    pub(super) outcome: Value,
    pub(super) attempts: Value,
    pub(super) usage: Value,
    pub(super) cost: i64,
    pub(super) ttft_ms: Option<i64>,
    pub(super) duration_ms: i64,
    pub(super) overhead_us: i64,
    pub(super) end_user: Option<String>,
    pub(super) session: Option<String>,
    pub(super) app: Option<String>,
    /// An array of `bytea`, as text.
    pub(super) tags: String,
    pub(super) shard: i16,
    pub(super) revision_n: i64,
    pub(super) zdr: String,
    pub(super) plan: Option<Value>,
    pub(super) trace_parent: Option<String>,
    pub(super) cached_from: Option<Uuid>,
    pub(super) inference_regions: Option<String>,
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
            tags: list(&call.tags),
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

/// As Postgres reads an array of `bytea`: an array of arrays would have to be rectangular.
fn list(hashes: &[LabelHash]) -> String {
    let quoted: Vec<String> = hashes.iter().map(|hash| format!("\"\\{}\"", bytea(hash))).collect();
    format!("{{{}}}", quoted.join(","))
}
