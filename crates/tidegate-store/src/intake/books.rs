//! What records mean for the books. Pure.
//!
//! An attempt counts as its latest finding says: correction before final before intent. A batch
//! changes the books by the difference of what the attempt meant before and after it, so that
//! neither order nor repetition matters.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tidegate_types::CallId;
use tidegate_types::usage::{CallOutcome, CallRecord, RefusalCause};
use uuid::Uuid;

use super::rows::{AttemptKey, HoldRow, hour_of};
use crate::convert::from_json;
use crate::counts::Counts;
use crate::{Result, StoreError};

/// A stored event of an attempt, as far as the books need it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Known {
    pub(crate) organization_id: Uuid,
    pub(crate) day: chrono::NaiveDate,
    pub(crate) call_id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) kind: String,
    pub(crate) node_id: Uuid,
    pub(crate) boot: i64,
    pub(crate) team_id: Uuid,
    pub(crate) key_id: Uuid,
    pub(crate) model_id: Uuid,
    pub(crate) provider_id: Uuid,
    pub(crate) credential_type: String,
    pub(crate) holds: serde_json::Value,
    pub(crate) deadline: DateTime<Utc>,
    pub(crate) outcome: String,
    pub(crate) cost: i64,
    pub(crate) epoch: i64,
    /// What it held lay on what its process had in advance.
    pub(crate) in_advance: bool,
    /// Nothing was sent.
    pub(crate) from_cache: bool,
    #[sqlx(flatten)]
    pub(crate) counts: Counts,
}

/// A budget's window: two that begin together are one, whose end was moved meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WindowKey {
    pub(crate) organization_id: Uuid,
    pub(crate) budget_id: Uuid,
    pub(crate) start: i64,
}

/// A process with budgets in advance, under an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Advance {
    pub(crate) node_id: Uuid,
    pub(crate) boot: i64,
    pub(crate) epoch: i64,
}

/// Change of a budget's window, and the latest end that it was seen with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spend {
    pub(crate) spent: i64,
    pub(crate) unresolved: i64,
    pub(crate) end: i64,
}

/// A row of the hourly roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UsageKey {
    pub(crate) organization_id: Uuid,
    pub(crate) hour: DateTime<Utc>,
    pub(crate) team_id: Uuid,
    pub(crate) key_id: Uuid,
    pub(crate) model_id: Uuid,
    pub(crate) provider_id: Uuid,
}

/// Change of a row of the hourly roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UsageChange {
    pub(crate) request_count: i64,
    pub(crate) refused_count: i64,
    pub(crate) error_count: i64,
    pub(crate) cache_hit_count: i64,
    pub(crate) cost: i64,
    pub(crate) byok_cost: i64,
    pub(crate) counts: Counts,
    pub(crate) duration_ms: i64,
}

/// Changes to the books; keys in the order in which rows are locked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) budgets: BTreeMap<WindowKey, Spend>,
    pub(crate) advances: BTreeMap<(Advance, WindowKey), Spend>,
    pub(crate) usage: BTreeMap<UsageKey, UsageChange>,
    /// By organization, provider and who is paid.
    pub(crate) charges: BTreeMap<(Uuid, Uuid, Side), i64>,
}

/// Who is paid for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The provider, by the operator.
    Provider,
    /// The provider, by the organization itself.
    Byok,
    /// The operator, who gave an earlier answer again.
    Cache,
}

impl Side {
    pub(crate) const fn of(system: bool, from_cache: bool) -> Self {
        match (system, from_cache) {
            (false, _) => Self::Byok,
            (true, true) => Self::Cache,
            (true, false) => Self::Provider,
        }
    }

    /// Debited and credited.
    pub(crate) const fn accounts(self) -> (&'static str, &'static str) {
        match self {
            Self::Provider => ("charges", "providers"),
            Self::Byok => ("byok", "byok_providers"),
            Self::Cache => ("charges", "cache"),
        }
    }
}

/// The intent of an attempt that nothing followed.
pub(crate) fn open_intent<'a>(events: &[&'a Known]) -> Option<&'a Known> {
    match events {
        [only] if only.kind == "intent" => Some(only),
        _ => None,
    }
}

fn decisive<'a>(events: &[&'a Known]) -> Option<&'a Known> {
    ["correction", "final", "intent"]
        .into_iter()
        .find_map(|kind| events.iter().find(|event| event.kind == kind).copied())
}

impl Books {
    /// Adds (`sign` 1) or takes back (-1) what an attempt with these events means.
    pub(crate) fn apply(
        &mut self,
        key: &AttemptKey,
        events: &[&Known],
        reaped: Option<&[HoldRow]>,
        sign: i64,
    ) -> Result<()> {
        let Some(event) = decisive(events) else { return Ok(()) };
        let intent = event.kind == "intent";
        let holds = match reaped {
            // Of an attempt that has not ended, what was held last, which further steps tell.
            Some(held) if intent => held.to_vec(),
            _ => from_json(event.holds.clone(), "holds")?,
        };
        let (billed, unresolved) = match (event.kind.as_str(), event.outcome.as_str()) {
            ("intent", _) => (false, reaped.is_some()),
            (_, "completed" | "interrupted") => (true, false),
            (_, "unresolved") => (false, true),
            (_, "refused" | "not_sent" | "open") => (false, false),
            _ => return Err(StoreError::Unreadable("outcome")),
        };
        self.apply_advance(key, events, sign)?;
        for hold in holds {
            let spent = if billed { event.cost } else { 0 };
            let unresolved = if unresolved { hold.amount } else { 0 };
            self.add_spend(key.organization_id, hold, spent * sign, unresolved * sign);
        }
        if billed {
            self.add_usage(event, sign);
            let side = Side::of(event.credential_type == "system", event.from_cache);
            *self.charges.entry((key.organization_id, event.provider_id, side)).or_default() +=
                event.cost * sign;
        }
        Ok(())
    }

    /// Of what a process had in advance counts what it told itself: how the attempt ended there. Of one
    /// whose process died the next one writes the end; it is the dead one's all the same.
    fn apply_advance(&mut self, key: &AttemptKey, events: &[&Known], sign: i64) -> Result<()> {
        let of = |kind: &str| events.iter().find(|event| event.kind == kind);
        let Some(end) = of("final").filter(|end| end.in_advance) else { return Ok(()) };
        let boot = of("intent").map_or(end.boot, |intent| intent.boot);
        let process = Advance { node_id: end.node_id, boot, epoch: end.epoch };
        for hold in from_json::<Vec<HoldRow>>(end.holds.clone(), "holds")? {
            let window = WindowKey {
                organization_id: key.organization_id,
                budget_id: hold.budget_id,
                start: hold.start,
            };
            let change = self.advances.entry((process, window)).or_default();
            match end.outcome.as_str() {
                "completed" | "interrupted" => change.spent += end.cost * sign,
                "unresolved" => change.unresolved += hold.amount * sign,
                _ => {}
            }
            change.end = change.end.max(hold.end);
        }
        Ok(())
    }

    /// Adds to a budget's window.
    pub(crate) fn add_spend(&mut self, organization_id: Uuid, hold: HoldRow, spent: i64, unresolved: i64) {
        let key = WindowKey { organization_id, budget_id: hold.budget_id, start: hold.start };
        let spend = self.budgets.entry(key).or_default();
        spend.spent += spent;
        spend.unresolved += unresolved;
        spend.end = spend.end.max(hold.end);
    }

    /// Adds to what an attempt cost, where that alone changes. `of`: team, key, model, provider.
    pub(crate) fn add_cost(&mut self, key: &AttemptKey, of: [Uuid; 4], amount: i64, byok: bool) {
        let [team_id, key_id, model_id, provider_id] = of;
        let hour = hour_of(CallId::from_uuid(key.call_id));
        let key =
            UsageKey { organization_id: key.organization_id, hour, team_id, key_id, model_id, provider_id };
        let row = self.usage.entry(key).or_default();
        row.cost += amount;
        row.byok_cost += if byok { amount } else { 0 };
    }

    fn add_usage(&mut self, event: &Known, sign: i64) {
        let key = UsageKey {
            organization_id: event.organization_id,
            hour: hour_of(CallId::from_uuid(event.call_id)),
            team_id: event.team_id,
            key_id: event.key_id,
            model_id: event.model_id,
            provider_id: event.provider_id,
        };
        let row = self.usage.entry(key).or_default();
        row.cost += event.cost * sign;
        row.byok_cost += if event.credential_type == "system" { 0 } else { event.cost * sign };
        if !event.from_cache {
            row.counts.add(&event.counts, sign);
        }
    }

    /// Counts a call under the provider of its last attempt.
    pub(crate) fn count_call(&mut self, call: &CallRecord) {
        let key = UsageKey {
            organization_id: call.organization_id.to_uuid(),
            hour: hour_of(call.call_id),
            team_id: call.team_id.to_uuid(),
            key_id: call.key_id.to_uuid(),
            model_id: call.model_id.map_or(Uuid::nil(), |id| id.to_uuid()),
            provider_id: call.attempts.last().map_or(Uuid::nil(), |attempt| attempt.provider_id.to_uuid()),
        };
        let failed = matches!(
            call.outcome,
            CallOutcome::Broken
                | CallOutcome::UpstreamError
                | CallOutcome::Refused { cause: RefusalCause::UpstreamFailed | RefusalCause::Timeout, .. }
        );
        let row = self.usage.entry(key).or_default();
        let hit = call.cached_from.is_some();
        row.request_count += i64::from(!call.attempts.is_empty());
        row.cache_hit_count += i64::from(hit);
        row.refused_count += i64::from(call.attempts.is_empty() && !hit);
        row.error_count += i64::from(failed);
        row.duration_ms += i64::from(call.duration_ms);
    }
}
