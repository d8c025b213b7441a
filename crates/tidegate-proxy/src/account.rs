//! One call's account: who called, what was tried, what it cost, how it ended.
//!
//! Shared by everything that still works on the call. When the last of them lets go, the call
//! record is written and the call's slots go back, exactly once. Stages note what they know.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tidegate_dialect::answer::NotePlace;
use tidegate_limits::{Permit, Rates, Release};
use tidegate_policy::{CallFacts, Plan, PlanRefusal, record_of, record_of_refusal};
use tidegate_types::resource::{Areas, DialectName, ZdrTier};
use tidegate_types::usage::{AttemptRecord, CallOutcome, CallRecord, RefusalCause, Surface, Usage};
use tidegate_types::{BudgetId, CallId, ModelId, NanoUsd, Timestamp, TraceParent};

use crate::authenticate::Caller;
use crate::edges::Record;
use crate::face::{Face, Manner};
use crate::gateway::Gateway;
use crate::known_limits::KnownLimits;
use crate::read_call::{Call, Labels};
use crate::refusal::{Refusal, Voice};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// When a request came, from where, and what it is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) call_id: CallId,
    pub(crate) at: Timestamp,
    pub(crate) clock: Instant,
    pub(crate) peer: IpAddr,
}

/// The account of one call.
pub(crate) struct Account {
    gateway: Arc<Gateway>,
    pub(crate) arrival: Arrival,
    pub(crate) surface: Surface,
    pub(crate) manner: Manner,
    pub(crate) note_place: NotePlace,
    /// Answers of this surface tell the cost in a header.
    pub(crate) cost_in_header: bool,
    /// The running attempt may have reached its provider.
    sent: AtomicBool,
    /// Nobody waits for the answer any more.
    left: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Absent for callers whom we do not know: they leave no record.
    record: Option<Box<CallRecord>>,
    /// Of a record that was written with its last attempt's end.
    tokens_used: Option<u64>,
    /// Of the attempts that have ended, also when their record is closed.
    spent: Spent,
    permit: Option<Permit>,
    /// Of models that were tried after the first.
    further: SmallVec<[Permit; 1]>,
    /// Models whose limits were asked.
    models: SmallVec<[ModelId; 1]>,
    rates: Rates,
    known_limits: KnownLimits,
    /// Status for the metrics of callers without a record.
    status: u16,
}

impl State {
    fn add(&mut self, attempt: AttemptRecord, usage: &Usage, cost: NanoUsd) {
        self.spent.cost += cost;
        self.spent.waited_ms += u64::from(attempt.duration_ms);
        if let Some(record) = &mut self.record {
            record.attempts.push(attempt);
            record.cost += cost;
            record.usage = record.usage.plus(usage);
        }
    }

    fn end(&mut self, status: u16, outcome: CallOutcome) {
        self.status = status;
        if let Some(record) = &mut self.record {
            (record.status, record.outcome) = (status, outcome);
        }
    }
}

/// What the attempts of a call have taken so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) cost: NanoUsd,
    /// Milliseconds that they lasted.
    pub(crate) waited_ms: u64,
}

impl Account {
    pub(crate) fn open(gateway: &Arc<Gateway>, arrival: Arrival, face: &Face<'_>) -> Arc<Self> {
        gateway.meters.in_flight.inc();
        Arc::new(Self {
            gateway: gateway.clone(),
            arrival,
            surface: face.surface,
            manner: face.manner,
            note_place: face.note_place(),
            cost_in_header: face.cost_in_header(),
            sent: AtomicBool::new(false),
            left: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    pub(crate) fn dialect(&self) -> DialectName {
        self.surface.dialect()
    }

    /// Whose errors the caller reads.
    pub(crate) fn voice(&self) -> Voice {
        Voice { dialect: self.dialect(), manner: self.manner }
    }

    pub(crate) fn note_sent(&self, sent: bool) {
        self.sent.store(sent, Ordering::Relaxed);
    }

    /// The caller is gone; what is read from here on is read for the account only.
    pub(crate) fn note_left(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn note_caller(&self, caller: &Caller) {
        let view = &caller.view;
        let mut state = self.state.lock();
        state.known_limits = KnownLimits::of(view);
        state.record = Some(Box::new(CallRecord {
            call_id: self.arrival.call_id,
            at: self.arrival.at,
            organization_id: view.organization_id(),
            team_id: view.team_id(),
            key_id: view.key_id(),
            surface: self.surface,
            stream: false,
            model_id: None,
            route_id: None,
            status: 0,
            outcome: CallOutcome::Disconnected,
            attempts: Vec::new(),
            usage: Usage::default(),
            cost: NanoUsd::ZERO,
            ttft_ms: None,
            duration_ms: 0,
            overhead_us: 0,
            end_user: None,
            session: None,
            app: None,
            tags: Vec::new(),
            revision: view.revision(),
            zdr: ZdrTier::None,
            inference_regions: None,
            plan: None,
            trace: None,
            cached_from: None,
        }));
    }

    fn note(&self, f: impl FnOnce(&mut CallRecord)) {
        if let Some(record) = &mut self.state.lock().record {
            f(record);
        }
    }

    /// The trace that the request belongs to, where it says so plainly.
    pub(crate) fn note_trace(&self, headers: &HeaderMap) {
        let Some(header) = headers.get(TRACEPARENT) else { return };
        let trace = header.to_str().ok().and_then(TraceParent::parse);
        self.note(|record| record.trace = trace);
    }

    pub(crate) fn note_call(&self, call: &Call) {
        let Labels { end_user, session, app, tags, .. } = &call.labels;
        self.note(|record| {
            record.stream = call.body.stream;
            (record.end_user, record.session, record.app) = (*end_user, *session, *app);
            record.tags = tags.to_vec();
        });
    }

    /// Why there is no plan, and what was demanded of data handling and places, as far as it is known.
    pub(crate) fn note_no_plan(&self, refusal: &PlanRefusal, asked: &CallFacts<'_>) {
        let short = record_of_refusal(refusal);
        self.note(|record| {
            record.zdr = refusal.demanded().unwrap_or(asked.zdr_asked);
            record.inference_regions = refusal.regions().or(asked.wishes.within.map(Areas::from));
            record.plan = short;
        });
    }

    pub(crate) fn note_plan(&self, plan: &Plan) {
        let short = record_of(plan);
        let mut state = self.state.lock();
        state.known_limits = KnownLimits::of_plan(plan);
        if let Some(record) = &mut state.record {
            record.plan = short;
            record.zdr = plan.policy.zdr;
            record.inference_regions = plan.policy.regions;
            record.route_id = plan.route.as_ref().map(|route| route.id);
            record.model_id = plan.candidates.first().map(|candidate| candidate.model.id);
        }
    }

    /// The call is in: its permit goes back when it is over.
    pub(crate) fn note_permit(&self, permit: Option<Permit>, rates: Rates) {
        let mut state = self.state.lock();
        state.permit = permit;
        state.rates = rates;
        if let Some(record) = &mut state.record {
            record.overhead_us = u32::try_from(self.arrival.clock.elapsed().as_micros()).unwrap_or(u32::MAX);
        }
    }

    /// A further attempt is in under its model's limits.
    pub(crate) fn note_further_permit(&self, permit: Permit) {
        self.state.lock().further.push(permit);
    }

    /// Notes that a model is tried; whether it is the first time.
    pub(crate) fn note_model(&self, model: ModelId) -> bool {
        let models = &mut self.state.lock().models;
        let new = !models.contains(&model);
        if new {
            models.push(model);
        }
        new
    }

    /// What the attempts so far have taken.
    pub(crate) fn spent(&self) -> Spent {
        self.state.lock().spent
    }

    /// The attempts that have ended.
    pub(crate) fn attempts(&self) -> Vec<AttemptRecord> {
        self.state.lock().record.as_ref().map(|record| record.attempts.clone()).unwrap_or_default()
    }

    /// The buckets as they were when the call was admitted, and the limits that are known without asking.
    pub(crate) fn rates(&self) -> (Rates, KnownLimits) {
        let state = self.state.lock();
        (state.rates, state.known_limits)
    }

    /// An attempt has ended.
    pub(crate) fn note_attempt(&self, attempt: AttemptRecord, usage: &Usage, cost: NanoUsd) {
        self.state.lock().add(attempt, usage, cost);
    }

    /// The call's answer is complete with this attempt: its record, to be written with the attempt's
    /// end. What is noted afterwards changes nothing.
    pub(crate) fn close(
        &self,
        attempt: AttemptRecord,
        usage: &Usage,
        cost: NanoUsd,
        now: Instant,
    ) -> Option<Box<CallRecord>> {
        let mut state = self.state.lock();
        state.add(attempt, usage, cost);
        state.end(200, CallOutcome::Answered);
        let mut record = state.record.take()?;
        record.duration_ms = millis(self.arrival.clock, now);
        state.tokens_used = Some(tokens(&record.usage));
        Some(record)
    }

    /// The call is answered with what was made for the call `from`: its record, to be written before the
    /// answer leaves. What is noted afterwards changes nothing.
    pub(crate) fn close_cached(
        &self,
        from: CallId,
        model_id: tidegate_types::ModelId,
        cost: NanoUsd,
    ) -> Option<Box<CallRecord>> {
        let mut state = self.state.lock();
        state.end(200, CallOutcome::Answered);
        state.spent.cost += cost;
        state.tokens_used = Some(0);
        let mut record = state.record.take()?;
        record.cost = cost;
        record.model_id = Some(model_id);
        record.cached_from = Some(from);
        record.duration_ms = millis(self.arrival.clock, Instant::now());
        record.ttft_ms = Some(record.duration_ms);
        Some(record)
    }

    /// The attempt at this model is the one that answers.
    pub(crate) fn note_first_event(&self, model_id: tidegate_types::ModelId) {
        let now = Instant::now();
        self.gateway.meters.first_event(now.saturating_duration_since(self.arrival.clock));
        let ms = millis(self.arrival.clock, now);
        self.note(|record| {
            record.ttft_ms = Some(ms);
            record.model_id = Some(model_id);
        });
    }

    /// How the call went, as the caller sees it.
    pub(crate) fn note_outcome(&self, status: u16, outcome: CallOutcome) {
        self.state.lock().end(status, outcome);
    }

    pub(crate) fn note_refusal(&self, refusal: &Refusal) {
        let budget_id: Option<BudgetId> = refusal.budget_id;
        let outcome = match (&refusal.passed_on, refusal.cause) {
            (Some(_), RefusalCause::UpstreamFailed) => CallOutcome::UpstreamError,
            (_, cause) => CallOutcome::Refused { cause, budget_id },
        };
        self.note_outcome(refusal.http_status(), outcome);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let now = Instant::now();
        let state = self.state.get_mut();
        let mut tokens_used = state.tokens_used;
        if let Some(mut record) = state.record.take() {
            record.duration_ms = millis(self.arrival.clock, now);
            tokens_used = Some(tokens(&record.usage));
            if self.gateway.records.append(Record::Call(&record)).is_err() {
                tracing::error!(call = %record.call_id, "a call record could not be written");
            }
        }
        if let Some(permit) = state.permit.take() {
            self.gateway.limiter.release(Release { permit, tokens_used });
        }
        // Of models that failed before the one that answered, or that answered itself.
        for permit in state.further.drain(..) {
            self.gateway.limiter.release(Release { permit, tokens_used });
        }
        let took = now.saturating_duration_since(self.arrival.clock);
        self.gateway.meters.answered(Some(self.surface), state.status, took);
        self.gateway.meters.in_flight.dec();
    }
}

fn tokens(usage: &Usage) -> u64 {
    usage.input_tokens.saturating_add(usage.output_tokens)
}

pub(crate) fn millis(since: Instant, now: Instant) -> u32 {
    u32::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u32::MAX)
}
