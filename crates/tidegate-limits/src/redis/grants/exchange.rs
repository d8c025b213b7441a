//! Exchanges with the store: what was used and is given back goes there, grants come back.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, Pipeline, Value};
use smallvec::SmallVec;
use tidegate_types::{OrganizationId, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Grants;
use super::book::{Aim, Exchange, Granted, refusal};
use crate::budget::Hold;
use crate::error::{LimitError, Refusal};
use crate::redis::RedisStore;
use crate::redis::breaker::Breaker;
use crate::redis::command::{bytes, expiry_ms};
use crate::redis::decide::{RECALL_PAUSE, number};
use crate::redis::link::Link;
use crate::redis::names::{Name, Names, budget_field};
use crate::redis::queue::Job;
use crate::redis::script::Scripts;
use crate::redis::shard::Shard;

/// Longest time for one trip; nobody waits for it as a rule.
const TRIP: std::time::Duration = std::time::Duration::from_secs(2);
/// Most organizations in one trip.
const BATCH: usize = 100;
/// Least time between two trips.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

/// How long a round waits for a server that is away.
const AWAY_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// What came of an organization's exchange.
enum Outcome {
    /// There was nothing to say.
    Silent,
    Answered(Box<(Exchange, SmallVec<[Granted; 4]>)>),
    /// The store is not at this epoch; a later one, when it has one, ends the grants.
    OtherEpoch,
    Unknown,
}

fn command(
    scripts: &Scripts,
    run_id: &str,
    (process, mark): (u64, &Name),
    organization: OrganizationId,
    exchange: &Exchange,
) -> Cmd {
    let (names, rows) = (Names::of(organization), &exchange.rows);
    let mut command = scripts.exchange.call(3 + 2 * rows.len(), 5 + 9 * rows.len());
    bytes(&mut command, &names.epoch());
    bytes(&mut command, &names.grants(mark));
    bytes(&mut command, &names.windows());
    for row in rows {
        let field = budget_field(row.at.0, row.window);
        bytes(&mut command, &names.budget(&field));
        bytes(&mut command, &names.grant(process, &field));
    }
    command.arg(exchange.epoch).arg(run_id).arg(exchange.number).arg(exchange.share).arg(exchange.percent);
    for row in rows {
        command
            .arg(u8::from(row.hard))
            .arg(row.spent)
            .arg(row.unresolved)
            .arg(row.keep)
            .arg(row.want)
            .arg(row.least)
            .arg(row.limit)
            .arg(row.revision)
            .arg(expiry_ms(row.expires));
    }
    command
}

/// What a reply says: the windows' figures, or the epoch that the store has.
fn read(reply: &Value, rows: usize) -> Option<Result<SmallVec<[Granted; 4]>, u64>> {
    let Value::Array(parts) = reply else { return None };
    let numbers = parts.iter().map(number).collect::<Option<SmallVec<[i64; 32]>>>()?;
    match *numbers.as_slice() {
        [4, _, found] => Some(Err(found.unsigned_abs())),
        [0, _, ref figures @ ..] if figures.len() == 7 * rows => {
            let granted = figures.chunks_exact(7).map(|figures| match *figures {
                [granted, spent, held, unresolved, out, limit, recalled] => {
                    Some(Granted { granted, spent, held, unresolved, out, limit, recalled: recalled == 1 })
                }
                _ => None,
            });
            granted.collect::<Option<_>>().map(Ok)
        }
        _ => None,
    }
}

/// What an organization's budgets and its rates have to say.
type Asked = (Option<Exchange>, Option<super::rates::Exchange>, Option<super::slots::Exchange>);

impl Grants {
    fn asked(&self, id: OrganizationId, aim: Aim<'_>, now: Timestamp, share: u32) -> Asked {
        let organization = self.organization(id);
        let mut organization = organization.lock();
        let (settings, monotonic) = (&self.settings, self.monotonic());
        let (rates, slots) = match aim {
            Aim::Need(_) => (None, None),
            Aim::Usual | Aim::Return => {
                let back = matches!(aim, Aim::Return);
                let rates = organization.rates.exchange(back, monotonic, share, settings);
                (rates, organization.slots.exchange(back, monotonic, share, settings))
            }
        };
        let book = organization.book.as_mut();
        (book.and_then(|book| book.exchange(aim, now.as_micros(), share, settings)), rates, slots)
    }

    /// Takes in what the store answered.
    fn take_in(
        &self,
        id: OrganizationId,
        exchange: Exchange,
        reply: Option<&Value>,
        now: Timestamp,
    ) -> Outcome {
        let organization = self.organization(id);
        let mut organization = organization.lock();
        let Some(book) = organization.book.as_mut().filter(|book| book.epoch == exchange.epoch) else {
            return Outcome::OtherEpoch;
        };
        let answer = reply.and_then(|reply| read(reply, exchange.rows.len()));
        let stalled = matches!(answer, Some(Err(_)));
        if let Some(Ok(granted)) = &answer {
            let recalls = book.answered(&exchange, granted, now.as_micros());
            self.recalls.fetch_add(recalls, std::sync::atomic::Ordering::Relaxed);
        }
        organization.stalled = stalled;
        match answer {
            None => Outcome::Unknown,
            Some(Err(found)) => {
                // Without counters, or with older ones, what is here stays good until this
                // process has applied the next epoch: that one opens only afterwards.
                if found > exchange.epoch {
                    self.close(&mut organization, found);
                }
                Outcome::OtherEpoch
            }
            Some(Ok(granted)) => Outcome::Answered(Box::new((exchange, granted))),
        }
    }

    /// Notes which organizations should be asked for again.
    fn look_again(&self, id: OrganizationId) {
        let organization = self.organization(id);
        let mut organization = organization.lock();
        if organization.is_due() {
            self.make_due(id, &mut organization);
        }
    }
}

impl RedisStore {
    /// Exchanges until `stop`: soon after something happened, at once where a grant runs low.
    pub(in crate::redis) async fn exchange_until(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.grants.settings().report);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // One round at a time for each server: one that is silent delays no other's.
        let mut rounds = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                () = self.grants.hungry.notified() => tokio::time::sleep(PAUSE).await,
                Some(()) = rounds.next(), if !rounds.is_empty() => {
                    self.move_settlements();
                    continue;
                }
            }
            self.move_settlements();
            for (shard, organizations) in self.take_due() {
                rounds.push(self.round(shard, organizations, false));
            }
        }
    }

    /// The organizations that are due, by their servers; those of a server that is away stay due.
    fn take_due(&self) -> Vec<(Arc<Shard>, Vec<OrganizationId>)> {
        let due = std::mem::take(&mut *self.grants.due.lock());
        let mut parts = self.route.parts(due);
        parts.retain_mut(|(shard, organizations)| {
            let free = shard.breaker.is_closed() && !shard.is_exchanging();
            if !free {
                self.grants.due.lock().append(organizations);
            }
            free
        });
        parts
    }

    /// One round over organizations of one server.
    async fn round(&self, shard: Arc<Shard>, organizations: Vec<OrganizationId>, give_back: bool) {
        let _round = shard.round();
        let _turn = shard.trip.lock().await;
        for id in &organizations {
            self.grants.organization(*id).lock().due = false;
        }
        for some in organizations.chunks(BATCH) {
            let aim = if give_back { Aim::Return } else { Aim::Usual };
            let _outcomes = self.exchange(&shard, some, aim).await;
            some.iter().for_each(|id| self.grants.look_again(*id));
        }
    }

    /// Settlements of grants that are over go to the queue.
    pub(in crate::redis) fn move_settlements(&self) {
        self.grants.hand_over(|settlement| self.enqueue(Job::settle(settlement)));
    }

    async fn exchange(&self, shard: &Shard, organizations: &[OrganizationId], aim: Aim<'_>) -> Vec<Outcome> {
        let Some(link) = shard.breaker.back() else {
            return organizations.iter().map(|_| Outcome::Unknown).collect();
        };
        let now = shard.breaker.now();
        let share = 2 * self.grants.nodes.load(std::sync::atomic::Ordering::Relaxed);
        let exchanges: Vec<Asked> =
            organizations.iter().map(|id| self.grants.asked(*id, aim, now, share)).collect();
        let replies = self.send(&shard.breaker, &link, organizations, &exchanges).await;
        let mut replies = replies.iter().flatten();
        let taken = organizations.iter().zip(exchanges).map(|(id, (exchange, rates, slots))| {
            let outcome = match exchange {
                None => Outcome::Silent,
                Some(exchange) => {
                    let outcome = self.grants.take_in(*id, exchange, replies.next(), now);
                    self.note_rooms(*id, &outcome);
                    outcome
                }
            };
            if let Some(exchange) = rates {
                self.grants.take_rates_in(*id, &exchange, replies.next());
            }
            if let Some(exchange) = slots {
                self.grants.take_slots_in(*id, &exchange, replies.next());
            }
            outcome
        });
        taken.collect()
    }

    fn note_rooms(&self, id: OrganizationId, outcome: &Outcome) {
        let Outcome::Answered(answer) = outcome else { return };
        for (row, told) in answer.0.rows.iter().zip(&answer.1).filter(|(row, _)| row.hard) {
            let room = told.limit - told.spent - told.held - told.unresolved - told.out;
            self.rooms.note_one(id, row.at, room);
        }
    }

    async fn send(
        &self,
        breaker: &Breaker,
        link: &Link,
        organizations: &[OrganizationId],
        exchanges: &[Asked],
    ) -> Option<Vec<Value>> {
        let (mut pipeline, process) = (Pipeline::with_capacity(exchanges.len()), self.grants.process);
        let mark = self.grants_mark();
        for (id, (exchange, rates, slots)) in organizations.iter().zip(exchanges) {
            if let Some(exchange) = exchange {
                pipeline.add_command(command(&self.scripts, link.run_id(), (process, &mark), *id, exchange));
            }
            if let Some(exchange) = rates {
                pipeline.add_command(super::rated::command(&self.scripts, process, *id, exchange));
            }
            if let Some(exchange) = slots {
                let lease = self.lease_ms();
                pipeline.add_command(super::rated::slots(&self.scripts, process, *id, exchange, lease));
            }
        }
        if pipeline.is_empty() {
            return None;
        }
        self.grants.trips.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let replies = breaker.ask_many(link, &pipeline, TRIP).await.ok()?;
        if replies.iter().any(|reply| matches!(reply, Value::ServerError(error) if error.kind() == Some(redis::ServerErrorKind::NoScript))) {
            let _tried_again_anyway = link.teach(&self.scripts, TRIP).await;
        }
        Some(replies)
    }

    /// One exchange of an organization, now.
    pub(in crate::redis) async fn exchange_now(&self, id: OrganizationId) {
        let shard = self.route.of(id);
        let _turn = shard.trip.lock().await;
        let _outcome = self.exchange(&shard, &[id], Aim::Usual).await;
    }

    /// Gets exactly what a hold lacks, in addition to what is granted. Waits for what other
    /// processes have in advance, as long as any call does.
    pub(in crate::redis) async fn need(&self, id: OrganizationId, hold: &Hold) -> Result<(), LimitError> {
        let until = tokio::time::Instant::now() + self.grants.settings().recall;
        loop {
            match self.need_once(id, hold).await? {
                None => return Ok(()),
                Some((refusal, missing)) => {
                    if !missing || tokio::time::Instant::now() >= until {
                        return Err(LimitError::refused(refusal, crate::Rates::default()));
                    }
                }
            }
            tokio::time::sleep(RECALL_PAUSE).await;
        }
    }

    /// The refusal, and whether others have something in advance.
    async fn need_once(
        &self,
        id: OrganizationId,
        hold: &Hold,
    ) -> Result<Option<(Refusal, bool)>, LimitError> {
        let shard = self.route.of(id);
        let _turn = shard.trip.lock().await;
        match self.exchange(&shard, &[id], Aim::Need(hold)).await.pop() {
            Some(Outcome::Answered(answer)) => {
                let (exchange, granted) = *answer;
                let held = |row: &super::book::Row| row.keep - row.spent - row.unresolved;
                let others = exchange.rows.iter().zip(&granted).any(|(row, answer)| answer.out > held(row));
                Ok(refusal(&exchange, &granted, hold).map(|refusal| (refusal, others)))
            }
            Some(Outcome::Silent) => Ok(None),
            Some(Outcome::OtherEpoch) => Err(LimitError::NoEpoch { found: 0 }),
            Some(Outcome::Unknown) | None => Err(LimitError::Away),
        }
    }

    /// Tells the store of everything and gives all back that is not held.
    pub(in crate::redis) async fn settle_up(&self) {
        while !self.grants.owes_nothing() {
            let due = std::mem::take(&mut *self.grants.due.lock());
            let mut rounds = FuturesUnordered::new();
            for (shard, organizations) in self.route.parts(due) {
                rounds.push(async move {
                    // One that is away says so in the round, and its organizations are due again.
                    let _back = tokio::time::timeout(AWAY_PAUSE, shard.breaker.wait_until_closed()).await;
                    self.round(shard, organizations, true).await;
                });
            }
            while rounds.next().await.is_some() {}
            if !self.grants.owes_nothing() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
