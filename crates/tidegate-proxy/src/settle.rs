//! One attempt's money: held before it is sent, settled exactly once however it ends.
//!
//! The intent is journalled before the provider sees anything, the final event before the last
//! frame leaves. Dropping an attempt settles it by what is known then, without waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tidegate_limits::{End, Hold, Settlement};
use tidegate_policy::{Candidate, Vouched};
use tidegate_pricing::Tariff;
use tidegate_types::resource::{AbortBilling, DialectName, Operation};
use tidegate_types::usage::{
    AttemptRecord, BillingEvent, CallRecord, CredentialType, EventKind, Evidence, MeterMethod, Outcome, Usage,
};
use tidegate_types::{CallId, NanoUsd, OrganizationId, Timestamp};

use crate::account::{Account, millis};
use crate::admit::Held;
use crate::authenticate::Caller;
use crate::edges::{JournalFull, Record, Staged};
use crate::failed::Failed;
use crate::gateway::Gateway;
use crate::gen_ai::{Fault, Sample};
use crate::grant::Grant;
use crate::intent::intent;
use crate::meter;
use crate::quota_headers;
use crate::read_call::Labels;
use crate::steps::Steps;
use crate::vitals::Measurements;

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Money is held.
    Held,
    /// The intent is in the journal; nothing was sent.
    Intended,
    /// The provider may have seen the request.
    Sent,
    /// Settled.
    Ended,
}

/// Where an attempt stands in its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Something may still happen to the call.
    Within,
    /// It is the last one: the call's record is closed with it.
    Last,
}

/// An attempt with its hold. There is no way to call a provider without one.
pub(crate) struct Attempt {
    gateway: Arc<Gateway>,
    pub(crate) account: Arc<Account>,
    event: BillingEvent,
    hold: Option<Hold>,
    tariff: Tariff,
    /// By what it is allowed under the call's data-handling tier.
    vouched: Vouched,
    /// Whether how it goes says something about the provider for everybody.
    measured: bool,
    pub(crate) grant: Grant,
    /// Where the hold grows with the output.
    pub(crate) steps: Option<Arc<Steps>>,
    output_visible: bool,
    abort_billing: AbortBilling,
    stage: Stage,
    /// The intent, while it waits for the write that takes it.
    staged: Option<Staged>,
    began: Instant,
    status: u16,
}

/// Whose attempt it is.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) labels: &'a Labels,
}

impl Attempt {
    /// The attempt for which `held` is reserved.
    pub(crate) fn held(
        gateway: &Arc<Gateway>,
        account: &Arc<Account>,
        whose: Whose<'_>,
        candidate: &Candidate,
        number: u16,
        held: Held,
    ) -> Box<Self> {
        let Held { grant, hold, under } = held;
        account.note_sent(false);
        let deadline = hold.as_ref().map_or_else(|| deadline(gateway, gateway.now()), |hold| hold.deadline);
        // Large, and handed on at every stage.
        Box::new(Self {
            event: BillingEvent {
                in_advance: under.in_advance,
                ..intent(account, whose, candidate, number, hold.as_ref(), under.epoch, deadline)
            },
            gateway: gateway.clone(),
            account: account.clone(),
            hold,
            tariff: candidate.tariff.clone(),
            vouched: candidate.vouched.clone(),
            measured: Measurements::counts(candidate),
            grant,
            steps: None,
            output_visible: candidate.offering.output_visible,
            abort_billing: candidate.provider.abort_billing,
            stage: Stage::Held,
            staged: None,
            began: Instant::now(),
            status: 0,
        })
    }

    /// Hands the intent over: it is written with [`Self::intend`], of this attempt or of another.
    pub(crate) fn stage_intent(&mut self) -> Result<(), Failed> {
        if self.stage == Stage::Held && self.staged.is_none() {
            self.event.at = self.gateway.now();
            self.staged = Some(self.gateway.records.stage(&self.event)?);
        }
        Ok(())
    }

    /// Writes the intent. Nothing may be sent before, nor under counters that are burnt.
    pub(crate) fn intend(&mut self) -> Result<(), Failed> {
        if self.stage == Stage::Held {
            self.write_intent()?;
            // Looked at after the intent is written: one that was there before the node applied
            // the next epoch is shipped before that opens, a later one is unknown to it.
            if self.is_burnt() {
                self.not_sent();
                return Err(Failed::Burnt);
            }
        }
        Ok(())
    }

    fn write_intent(&mut self) -> Result<(), JournalFull> {
        if let Some(staged) = self.staged.take() {
            self.gateway.records.land(staged)?;
        } else {
            self.event.at = self.gateway.now();
            self.gateway.records.append(Record::Event(&self.event))?;
        }
        self.stage = Stage::Intended;
        Ok(())
    }

    /// Whether the counters under which the money is held have been given up since.
    fn is_burnt(&self) -> bool {
        // An organization that is gone from here may be counted in another pool by now.
        self.grant.amount > NanoUsd::ZERO
            && self.present_epoch().is_none_or(|present| present > self.event.epoch)
    }

    fn present_epoch(&self) -> Option<u64> {
        self.gateway.config.organization(self.event.organization_id).map(|held| held.epoch())
    }

    /// The answer is a stream: its hold grows with it, where it began as a step.
    pub(crate) fn begin_steps(&mut self) {
        self.steps = Steps::of(&self.event, self.hold.as_ref(), self.grant, &self.tariff);
    }

    /// Nothing is sent: the answer is what was made for the call `from`, and costs so many percent of its
    /// usage. With the intent there is room for the end.
    pub(crate) fn book_cached(&mut self, from: CallId, usage: &Usage, percent: u8) -> Result<(), Failed> {
        self.event.cached_percent = Some(percent);
        self.intend()?;
        self.stage = Stage::Ended;
        let cost = tidegate_pricing::share(self.tariff.cost(usage), percent);
        let record = self.account.close_cached(from, self.event.model_id, cost);
        self.write_final(Outcome::Completed, MeterMethod::Reported, *usage, cost, record.as_deref());
        self.settle(Outcome::Completed, cost);
        Ok(())
    }

    /// From here on the provider may see the request.
    pub(crate) fn mark_sent(&mut self) {
        self.stage = Stage::Sent;
        self.account.note_sent(true);
    }

    /// The connection was gone before it took the request.
    pub(crate) fn mark_unsent(&mut self) {
        self.stage = Stage::Intended;
        self.account.note_sent(false);
    }

    /// This is the attempt that answers the call.
    pub(crate) fn answers(&self) {
        self.account.note_first_event(self.event.model_id);
    }

    /// When it was begun.
    pub(crate) fn began(&self) -> tokio::time::Instant {
        self.began.into()
    }

    /// Whether it is settled.
    pub(crate) fn is_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Whether the provider bills an answer that nobody reads.
    pub(crate) fn is_read_on(&self) -> bool {
        self.abort_billing == AbortBilling::Continues
    }

    /// Notes the head of an answer: its status, and what its provider says of the credential's quota.
    pub(crate) fn note_head(&mut self, status: u16, headers: &HeaderMap, dialect: DialectName) {
        self.status = status;
        // Counting tokens has a quota of its own.
        let counts = self.account.surface.operation() == Operation::CountTokens;
        if let Some(credential) = self.event.credential_id.filter(|_| !counts) {
            let left = quota_headers::left(headers, dialect, || self.gateway.now());
            let is_own = self.event.credential_type != CredentialType::System;
            let owner = if is_own { self.event.organization_id } else { OrganizationId::SYSTEM };
            self.gateway.health.quotas.note(owner, (credential, self.event.offering_id), &left);
        }
    }

    /// Whether an abort does not stop what the provider bills: then it must be read to its end.
    pub(crate) fn must_be_read(&self) -> bool {
        self.stage == Stage::Sent && self.is_read_on()
    }

    /// Nothing reached the provider.
    pub(crate) fn not_sent(&mut self) {
        self.end(Outcome::NotSent, MeterMethod::Nothing, Usage::default());
    }

    /// The provider answered with a complete error before any event: nothing is billed.
    pub(crate) fn refused(&mut self) {
        self.end(Outcome::Refused, MeterMethod::Nothing, Usage::default());
    }

    /// The answer is complete, and its caller gets it: with this attempt the call's record is closed.
    pub(crate) fn answered(&mut self, reported: Option<Usage>, visible_bytes: u64) {
        let place = if self.account.is_left() { Place::Within } else { Place::Last };
        self.complete(reported, visible_bytes, place);
    }

    /// The answer is complete, and nobody waits for it.
    pub(crate) fn completed(&mut self, reported: Option<Usage>, visible_bytes: u64) {
        self.complete(reported, visible_bytes, Place::Within);
    }

    /// Without reported usage what was seen is counted; where more is billed than can be seen, a
    /// strict hold stays.
    fn complete(&mut self, reported: Option<Usage>, visible_bytes: u64, place: Place) {
        // A stream is complete with its last event, and again with its last byte.
        if self.stage == Stage::Ended {
            return;
        }
        if reported.is_none() && !self.output_visible && self.grant.amount > NanoUsd::ZERO {
            return self.finish(Outcome::Unresolved, MeterMethod::Held, Usage::default(), place);
        }
        if visible_bytes > 0 {
            self.gateway.typical.note(self.event.provider_id, self.event.model_id, visible_bytes);
        }
        let (method, usage) = meter::completed(reported, visible_bytes, &self.grant);
        if method == MeterMethod::Reported {
            let BillingEvent { provider_id, model_id, .. } = self.event;
            self.gateway.expected.note(provider_id, model_id, usage.output_tokens);
        }
        self.finish(Outcome::Completed, method, usage, place);
    }

    /// The answer to something else than a call of a language model is complete. What was used is
    /// charged where the price names any of it; where it does not, nobody knows what is billed.
    pub(crate) fn task_completed(&mut self, reported: Option<Usage>) {
        let usage = match reported {
            Some(usage) => (MeterMethod::Reported, Usage { requests: 1, ..usage }),
            None => meter::completed(None, 0, &self.grant),
        };
        match usage {
            (method, usage) if self.tariff.meters(&usage) => self.end(Outcome::Completed, method, usage),
            _ => self.unresolved(),
        }
    }

    /// Tokens were counted: nothing is billed.
    pub(crate) fn counted(&mut self) {
        self.end(Outcome::Completed, MeterMethod::Nothing, Usage::default());
    }

    /// The stream broke, or its reader left and reading on makes no sense. What was seen is
    /// counted, where all that is billed can be seen; else nobody knows. Where billing goes on
    /// behind the break, a strict hold stays: more may be billed than was seen.
    pub(crate) fn interrupted(&mut self, facts: &tidegate_dialect::stream::Facts) {
        if facts.finished && facts.usage.is_some() {
            return self.completed(facts.usage, facts.visible_bytes);
        }
        let goes_on = self.is_read_on() && self.grant.amount > NanoUsd::ZERO;
        if !self.output_visible || !facts.started || goes_on {
            return self.unresolved();
        }
        let usage = meter::interrupted(facts.usage, facts.visible_bytes, &self.grant);
        self.end(Outcome::Interrupted, MeterMethod::Counted, usage);
    }

    /// Sent, and nobody knows what is billed.
    pub(crate) fn unresolved(&mut self) {
        self.end(Outcome::Unresolved, MeterMethod::Held, Usage::default());
    }

    fn end(&mut self, outcome: Outcome, method: MeterMethod, usage: Usage) {
        self.finish(outcome, method, usage, Place::Within);
    }

    fn finish(&mut self, outcome: Outcome, method: MeterMethod, usage: Usage, place: Place) {
        if self.staged.is_some() {
            // Where that fails it is not in the journal, and needs no end there.
            let _ = self.write_intent();
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        if stage == Stage::Ended {
            return;
        }
        let cost = if method == MeterMethod::Nothing || outcome == Outcome::Unresolved {
            NanoUsd::ZERO
        } else {
            self.tariff.cost(&usage)
        };
        if let Some(steps) = self.steps.take() {
            (self.event.holds, self.grant.amount) = steps.close();
        }
        if self.grant.amount > NanoUsd::ZERO && cost > self.grant.amount {
            self.gateway.meters.bound_violations.inc();
        }
        let now = Instant::now();
        let record = match place {
            Place::Last => self.account.close(self.record(outcome, now), &usage, cost, now),
            Place::Within => None,
        };
        // The journal first: what it holds can be settled again, what is settled cannot be told again.
        if stage != Stage::Held {
            self.write_final(outcome, method, usage, cost, record.as_deref());
        }
        self.settle(outcome, cost);
        if outcome == Outcome::Completed && self.measured {
            let Self { event, began, .. } = &*self;
            let measured = &self.gateway.health.measured;
            let took = now.saturating_duration_since(*began);
            measured.completed(event.provider_id, event.model_id, usage.output_tokens, took);
        }
        self.gateway.meters.attempt(outcome_name(outcome));
        self.sample(outcome, &usage, record.as_deref(), now);
        if place == Place::Within {
            self.account.note_attempt(self.record(outcome, now), &usage, cost);
        }
    }

    /// For the histograms; what was never sent, or came from the cache, is no operation of a model.
    fn sample(&self, outcome: Outcome, usage: &Usage, answered: Option<&CallRecord>, now: Instant) {
        let counts_tokens = self.account.surface.operation() == Operation::CountTokens;
        if outcome == Outcome::NotSent || counts_tokens || self.event.cached_percent.is_some() {
            return;
        }
        let arrival = self.account.arrival.clock;
        let error = match outcome {
            Outcome::Completed => None,
            _ if self.status >= 400 => Some(Fault::Status(self.status)),
            _ => Some(Fault::Named(outcome_name(outcome))),
        };
        let first = answered.filter(|record| record.stream).and_then(|record| record.ttft_ms).map(|ms| {
            Duration::from_millis(ms.into()).saturating_sub(self.began.saturating_duration_since(arrival))
        });
        self.gateway.gen_ai.note(Sample {
            surface: self.account.surface,
            provider: self.event.provider_id,
            model: self.event.model_id,
            error,
            took: now.saturating_duration_since(self.began),
            call_took: answered.map(|_| now.saturating_duration_since(arrival)),
            first,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
        });
    }

    fn write_final(
        &mut self,
        outcome: Outcome,
        method: MeterMethod,
        usage: Usage,
        cost: NanoUsd,
        record: Option<&CallRecord>,
    ) {
        let event = &mut self.event;
        event.kind = EventKind::Final;
        event.at = self.gateway.now();
        (event.outcome, event.method, event.usage, event.cost) = (outcome, method, usage, cost);
        let written = match record {
            Some(record) => self.gateway.records.append_last(event, record),
            None => self.gateway.records.append(Record::Event(event)),
        };
        if written.is_err() {
            tracing::error!(call = %event.call_id, attempt = event.attempt, "a final event could not be written");
        }
    }

    fn settle(&self, outcome: Outcome, cost: NanoUsd) {
        let Some(hold) = &self.hold else { return };
        let end = match outcome {
            Outcome::Completed | Outcome::Interrupted => End::Spent(cost),
            Outcome::Unresolved | Outcome::Open => End::Unresolved,
            Outcome::Refused | Outcome::NotSent => End::Void,
        };
        // Looked at after the final is written: one that was there before the node applied the next
        // epoch is in that one's books. A later one may not be, and its hold is there instead: to
        // tell the counters that are being given up would be in vain.
        let epoch = match self.event.epoch {
            0 => 0,
            held => held.max(self.present_epoch().unwrap_or(0)),
        };
        let settlement: Settlement = hold.settlement(self.event.organization_id, epoch, end);
        self.gateway.limiter.settle(settlement);
        self.gateway.waiting.freed(self.event.organization_id);
    }

    fn record(&self, outcome: Outcome, now: Instant) -> AttemptRecord {
        let duration_ms = millis(self.began, now);
        AttemptRecord {
            provider_id: self.event.provider_id,
            offering_id: self.event.offering_id,
            credential_id: self.event.credential_id,
            credential_type: self.event.credential_type,
            status: self.status,
            started_ms: millis(self.account.arrival.clock, now).saturating_sub(duration_ms),
            duration_ms,
            outcome: Some(outcome),
            evidence: self.vouched.iter().map(|evidence| Evidence::clone(evidence)).collect(),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        match self.stage {
            Stage::Held | Stage::Intended => {
                self.end(Outcome::NotSent, MeterMethod::Nothing, Usage::default())
            }
            Stage::Sent => self.unresolved(),
            Stage::Ended => {}
        }
    }
}

/// When a hold that nobody settled becomes unresolved.
pub(crate) fn deadline(gateway: &Gateway, now: Timestamp) -> Timestamp {
    let life = gateway.settings.total_timeout + gateway.settings.max_stream;
    now.plus_millis(i64::try_from(life.as_millis()).unwrap_or(i64::MAX))
}

const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "open",
        Outcome::Completed => "completed",
        Outcome::Refused => "refused",
        Outcome::NotSent => "not_sent",
        Outcome::Interrupted => "interrupted",
        Outcome::Unresolved => "unresolved",
    }
}
