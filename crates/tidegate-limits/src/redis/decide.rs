//! Admitting a call and placing holds: ask the script, read its verdict.
//!
//! A decision whose answer is lost may have been carried out: it is undone from the queue, also
//! when the caller goes away while it waits.

use std::time::Duration;

use redis::Value;
use smallvec::SmallVec;
use tidegate_types::{NanoUsd, OrganizationId, Timestamp};

use super::RedisStore;
use super::command::{Bucket, Question, buckets_of, slots_of};
use super::grants::Local;
use super::link::Failure;
use super::queue::Job;
use crate::admit::{Admit, Lease, RateScope, Rates, ScopeLimits, Source};
use crate::budget::{End, HeldUnder, Hold};
use crate::error::{LimitError, Refusal};
use crate::rate;

/// Between two questions for money that nodes are asked to give back.
pub(super) const RECALL_PAUSE: Duration = Duration::from_millis(40);

/// A call that may pass.
pub(crate) struct Decision {
    pub(crate) held: HeldUnder,
    pub(crate) rates: Rates,
    pub(crate) at: Timestamp,
    pub(crate) source: Source,
}

/// What the script said.
enum Verdict {
    Granted {
        epoch: u64,
        at: i64,
        rates: Rates,
        /// What its hard budgets have left, the least of them.
        room: Option<i64>,
    },
    /// Refused; `missing`: how long nodes have been asked for what they have in advance of it.
    Refused { error: LimitError, missing: Option<Duration> },
    /// Not a reply of this script.
    Garbled,
}

/// A decision that is being asked; undone unless its answer arrives.
struct Undecided<'a> {
    store: &'a RedisStore,
    organization: OrganizationId,
    admit: Option<&'a Admit>,
    hold: Option<&'a Hold>,
    armed: bool,
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        // A further step is not undone: the attempt's settlement ends the whole hold.
        if let Some(hold) = self.hold.filter(|hold| hold.step == 0) {
            self.store.settle(hold.settlement(self.organization, hold.epoch, End::Void));
        }
        if let Some(admit) = self.admit.filter(|admit| slots_of(&admit.scopes).next().is_some()) {
            let lease = Lease {
                organization_id: admit.organization_id,
                call_id: admit.call_id,
                scopes: admit.scopes.clone(),
                tokens: admit.tokens,
                source: Source::Store,
            };
            self.store.enqueue(Job::Release(lease, None));
        }
    }
}

/// A hold that was placed on this process's grants; given up unless the call is in.
struct Reversible<'a> {
    store: &'a RedisStore,
    organization: OrganizationId,
    hold: Option<(&'a Hold, u64)>,
}

impl Drop for Reversible<'_> {
    fn drop(&mut self) {
        if let Some((hold, epoch)) = self.hold {
            self.store.settle(hold.settlement(self.organization, epoch, End::Void));
        }
    }
}

impl RedisStore {
    pub(crate) async fn admit(&self, admit: &Admit) -> Result<Decision, LimitError> {
        let decision = self.decide(admit).await?;
        self.passed.note(&decision);
        Ok(decision)
    }

    async fn decide(&self, admit: &Admit) -> Result<Decision, LimitError> {
        if let Some(refused) = self.denied.check(admit) {
            return Err(LimitError::Refused(Box::new(refused)));
        }
        let organization = admit.organization_id;
        let local = match &admit.hold {
            Some(hold) => self.place(organization, hold).await?,
            None => Local::Elsewhere,
        };
        let Local::Held { epoch, again } = local else {
            return self.admit_with(admit, admit.hold.as_ref()).await;
        };
        if again {
            return Ok(Decision { held: HeldUnder { epoch, in_advance: true }, ..self.undecided() });
        }
        let hold = admit.hold.as_ref().map(|hold| (hold, epoch));
        let mut reversible = Reversible { store: self, organization, hold };
        let decision = self.admit_with(admit, None).await?;
        reversible.hold = None;
        Ok(Decision { held: HeldUnder { epoch, in_advance: true }, ..decision })
    }

    /// A call that passes although nobody was asked.
    fn undecided(&self) -> Decision {
        Decision { held: HeldUnder::default(), rates: Rates::default(), at: self.now(), source: Source::Here }
    }

    /// Places a hold on what is granted to this process, as far as that reaches.
    async fn place(&self, organization: OrganizationId, hold: &Hold) -> Result<Local, LimitError> {
        let mut patient = self.grants.settings().eager;
        loop {
            match self.grants.place(organization, hold, self.now(), patient)? {
                Local::Short => Box::pin(self.need(organization, hold)).await?,
                Local::Hungry => {
                    Box::pin(self.exchange_now(organization)).await;
                    patient = false;
                }
                placed => return Ok(placed),
            }
        }
    }

    /// Takes rates from what this process has of them in advance, as far as that reaches.
    async fn take_rates(
        &self,
        organization: OrganizationId,
        buckets: &[Bucket],
        scopes: &[ScopeLimits],
    ) -> Option<Rates> {
        if !self.grants.settings().rates {
            return None;
        }
        let taken = self.grants.take_rates(organization, buckets, scopes);
        if taken.is_some() || !self.grants.settings().eager {
            return taken;
        }
        Box::pin(self.exchange_now(organization)).await;
        self.grants.take_rates(organization, buckets, scopes)
    }

    /// Asks the store for what is left to ask: rates, slots, and the hold if it is not placed yet.
    async fn admit_with(&self, admit: &Admit, hold: Option<&Hold>) -> Result<Decision, LimitError> {
        let organization = admit.organization_id;
        let buckets = buckets_of(&admit.scopes, admit.tokens, |scope| self.floor(organization, scope));
        let limited = !buckets.is_empty() || slots_of(&admit.scopes).next().is_some();
        if !limited && hold.is_none() {
            return Ok(self.undecided());
        }
        if hold.is_none()
            && let Some(rates) = self.take_rates(organization, &buckets, &admit.scopes).await
        {
            return Ok(Decision { rates, source: Source::Grant, ..self.undecided() });
        }
        // What waits for somebody lies in a place of its own: a call that asks nobody is small.
        Box::pin(self.admit_by_store(admit, hold, buckets)).await
    }

    async fn admit_by_store(
        &self,
        admit: &Admit,
        hold: Option<&Hold>,
        mut buckets: SmallVec<[Bucket; 6]>,
    ) -> Result<Decision, LimitError> {
        let organization = admit.organization_id;
        self.grants.note_here(organization, &mut buckets);
        let call = admit.call_id.ulid_bytes();
        let mut asked = self.ask(organization, Some(admit), hold, &buckets, &admit.scopes, &call).await;
        if is_rate(&asked) && self.grants.give_rates_back(organization, &buckets, &admit.scopes) {
            // With what was here in advance the bucket may have enough.
            self.exchange_now(organization).await;
            asked = self.ask(organization, Some(admit), hold, &buckets, &admit.scopes, &call).await;
        }
        match asked {
            Ok(decision) => {
                self.running.insert(organization, admit.call_id, &admit.scopes);
                Ok(decision)
            }
            Err(LimitError::Refused(refused)) => {
                self.denied.note(admit, &refused);
                Err(LimitError::Refused(refused))
            }
            Err(LimitError::Away) if !hold.is_some_and(is_hard) => {
                let in_flight = |scope| {
                    self.running.count(organization, scope) + self.grants.slots_used(organization, scope)
                };
                let now = self.route.of(organization).breaker.now().as_micros();
                self.shares.admit(admit, now, in_flight)?;
                self.running.insert(organization, admit.call_id, &admit.scopes);
                Ok(Decision { source: Source::Share, ..self.undecided() })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn hold(
        &self,
        organization: OrganizationId,
        hold: &Hold,
    ) -> Result<HeldUnder, LimitError> {
        if let Local::Held { epoch, .. } = self.place(organization, hold).await? {
            return Ok(HeldUnder { epoch, in_advance: true });
        }
        match self.ask(organization, None, Some(hold), &[], &[], &[]).await {
            Ok(decision) => Ok(decision.held),
            Err(LimitError::Away) if !is_hard(hold) => Ok(HeldUnder::default()),
            Err(error) => Err(error),
        }
    }

    /// Asks the store, again for a while as long as what is missing is on its way back from nodes.
    async fn ask(
        &self,
        organization: OrganizationId,
        admit: Option<&Admit>,
        hold: Option<&Hold>,
        buckets: &[Bucket],
        scopes: &[ScopeLimits],
        call: &[u8],
    ) -> Result<Decision, LimitError> {
        loop {
            let undecided = Undecided { store: self, organization, admit, hold, armed: true };
            let (error, missing) = match self.ask_once(undecided, buckets, scopes, call).await {
                Ok(decision) => {
                    if let Some(hold) = hold {
                        self.grants.granted(organization, hold, decision.held.epoch);
                    }
                    return Ok(decision);
                }
                Err(refused) => refused,
            };
            if missing.is_some_and(|since| since < self.grants.settings().recall) {
                self.grants.recall(organization, self.now());
                tokio::time::sleep(RECALL_PAUSE).await;
                continue;
            }
            if let (Some(hold), false) = (hold, matches!(error, LimitError::HoldEnded | LimitError::Away)) {
                self.grants.refused(organization, hold);
            }
            return Err(error);
        }
    }

    /// What a bucket was at least charged with here, while the store was away.
    fn floor(&self, organization: OrganizationId, scope: RateScope) -> i64 {
        if !self.shares.in_use() {
            return 0;
        }
        self.shares.floor(organization, scope, self.route.of(organization).breaker.recovered_at())
    }

    async fn ask_once(
        &self,
        mut undecided: Undecided<'_>,
        buckets: &[Bucket],
        scopes: &[ScopeLimits],
        call: &[u8],
    ) -> Result<Decision, (LimitError, Option<Duration>)> {
        let (organization, hold) = (undecided.organization, undecided.hold);
        let shard = self.route.of(organization);
        let Some(link) = shard.breaker.front(spread(organization)) else {
            undecided.armed = false;
            return Err((LimitError::Away, None));
        };
        if hold.is_some() && !self.seen.contains(&organization) {
            self.seen.insert(organization);
        }
        let mark = self.mark.read().clone();
        let question = Question {
            organization,
            run_id: link.run_id(),
            hold,
            buckets,
            scopes,
            call,
            mark: &mark,
            grace_micros: self.grace_micros(),
            lease_ms: self.lease_ms(),
        };
        let command = question.command(&self.scripts);
        let reply = match shard.breaker.ask(&link, &command).await {
            Ok(reply) => reply,
            Err(failure) => {
                undecided.armed = !matches!(failure, Failure::Moved | Failure::Moving);
                return Err((LimitError::Away, None));
            }
        };
        match read(&reply, buckets, scopes, hold) {
            Verdict::Granted { epoch, at, rates, room } => {
                undecided.armed = false;
                if let (Some(hold), Some(room)) = (hold, room) {
                    self.rooms.note(organization, &hold.budgets, room);
                }
                let held = HeldUnder { epoch, in_advance: false };
                Ok(Decision { held, rates, at: Timestamp::from_micros(at), source: Source::Store })
            }
            Verdict::Refused { error, missing } => {
                undecided.armed = false;
                Err((error, missing))
            }
            Verdict::Garbled => {
                tracing::error!("redis answered a decision with something else");
                shard.breaker.trip();
                Err((LimitError::Away, None))
            }
        }
    }
}

/// Low bits of a ULID are random: organizations spread over the connections.
pub(super) fn spread(organization: OrganizationId) -> u64 {
    u64::try_from(organization.to_u128() & u128::from(u32::MAX)).unwrap_or(0)
}

fn is_rate(asked: &Result<Decision, LimitError>) -> bool {
    matches!(asked, Err(LimitError::Refused(refused)) if matches!(refused.refusal, Refusal::Rate { .. } | Refusal::Concurrency { .. }))
}

fn is_hard(hold: &Hold) -> bool {
    hold.budgets.iter().any(|part| part.hard)
}

/// An integer, or a decimal text.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}

fn read(reply: &Value, buckets: &[Bucket], scopes: &[ScopeLimits], hold: Option<&Hold>) -> Verdict {
    let Value::Array(parts) = reply else { return Verdict::Garbled };
    let Some(numbers) = parts.iter().map(number).collect::<Option<SmallVec<[i64; 16]>>>() else {
        return Verdict::Garbled;
    };
    let refused = |refusal: Option<Refusal>, rates| match refusal {
        Some(refusal) => Verdict::Refused { error: LimitError::refused(refusal, rates), missing: None },
        None => Verdict::Garbled,
    };
    let nth = |index: i64| usize::try_from(index - 1).ok();
    match *numbers.as_slice() {
        [0, at, epoch, ref tats @ ..] => {
            let room = tats.get(buckets.len()).copied();
            Verdict::Granted { epoch: epoch.unsigned_abs(), at, rates: rates(buckets, tats, at), room }
        }
        [1, at, index, wait, ref tats @ ..] => {
            let refusal = nth(index).and_then(|index| buckets.get(index)).map(|bucket| Refusal::Rate {
                scope: bucket.scope,
                kind: bucket.kind,
                limit: bucket.per_minute,
                retry_after_ms: rate::millis_up(wait).max(1),
            });
            refused(refusal, rates(buckets, tats, at))
        }
        [2, at, index, ref tats @ ..] => {
            let slot = nth(index).and_then(|index| slots_of(scopes).nth(index));
            let refusal = slot.map(|(scope, limit)| Refusal::Concurrency { scope, limit });
            refused(refusal, rates(buckets, tats, at))
        }
        [3, at, index, spent, held, unresolved, limit, granted, since, ref tats @ ..] => {
            let part = hold.and_then(|hold| hold.budgets.get(nth(index)?));
            let refusal = part.map(|part| Refusal::Budget {
                budget_id: part.budget_id,
                limit: NanoUsd::new(limit),
                spent: NanoUsd::new(spent),
                held: NanoUsd::new(held + granted),
                unresolved: NanoUsd::new(unresolved),
                resets_at: (part.window.end.as_micros() != i64::MAX).then_some(part.window.end),
            });
            match refused(refusal, rates(buckets, tats, at)) {
                Verdict::Refused { error, .. } => {
                    let since = Duration::from_millis(since.unsigned_abs());
                    Verdict::Refused { error, missing: (granted > 0).then_some(since) }
                }
                other => other,
            }
        }
        [4, _, found] => {
            let error = LimitError::NoEpoch { found: found.unsigned_abs() };
            Verdict::Refused { error, missing: None }
        }
        [5, _] => Verdict::Refused { error: LimitError::HoldEnded, missing: None },
        _ => Verdict::Garbled,
    }
}

fn rates(buckets: &[Bucket], tats: &[i64], now: i64) -> Rates {
    let mut rates = Rates::default();
    for (bucket, tat) in buckets.iter().zip(tats) {
        // What is here in advance is left for this process's calls as well.
        let tat = (*tat).max(now.saturating_add(bucket.here)) - bucket.here;
        rates.note(bucket.kind, rate::state(tat, now, bucket.per_minute));
    }
    rates
}
