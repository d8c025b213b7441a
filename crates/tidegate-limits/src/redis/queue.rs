//! Settlements and releases on their way to Redis, off every caller's path.
//!
//! One task takes what is queued, sends it in one trip and repeats it until it is through.
//! Settlements are idempotent and are repeated; a release whose answer was lost is repeated
//! without its token correction, which is not.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ahash::AHashSet;
use parking_lot::Mutex;
use redis::{Pipeline, ServerErrorKind, Value};
use tidegate_types::{CallId, OrganizationId};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use super::command;
use super::running::Running;
use super::script::Scripts;
use crate::admit::Lease;
use crate::budget::Settlement;

/// Most operations in one trip.
const BATCH: usize = 256;
/// Longest time for one trip; off the caller's path, so generous.
const TRIP: Duration = Duration::from_secs(2);
/// Most operations kept; beyond, the newest are dropped (the ledger carries settlements).
const MOST: usize = 500_000;
/// Pause after the server refused what was sent.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);
/// How often settlements without an epoch are tried again, and for how long they are kept.
const WAIT_PAUSE: Duration = Duration::from_millis(500);
const WAIT_LONGEST: Duration = Duration::from_secs(30 * 60);

enum Job {
    Settle(Settlement, Instant),
    Release(Lease, Option<u64>),
    Renew(OrganizationId, CallId, super::running::Slots),
}

/// Settlements that wait for an epoch. Of one attempt the first word counts: what comes after it
/// waits behind it.
#[derive(Default)]
struct Waiting {
    settlements: VecDeque<(Settlement, Instant)>,
    organizations: AHashSet<OrganizationId>,
}

impl Waiting {
    fn push(&mut self, settlement: Settlement, since: Instant) {
        self.organizations.insert(settlement.organization_id);
        self.settlements.push_back((settlement, since));
    }

    fn take(&mut self) -> VecDeque<(Settlement, Instant)> {
        self.organizations.clear();
        std::mem::take(&mut self.settlements)
    }
}

/// The queue's inlet and its counts.
pub(super) struct Queue {
    sender: mpsc::UnboundedSender<Job>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Job>>>,
    pending: AtomicUsize,
    waiting: AtomicUsize,
    dropped: AtomicU64,
    /// Jobs that ever entered, and jobs that the store has answered; one that is tried again enters again.
    entered: AtomicU64,
    answered: AtomicU64,
    /// Something was answered.
    moved: Notify,
    drained: Notify,
    /// An epoch was opened: those that wait may go.
    opened: Notify,
}

/// What the task needs to send.
pub(super) struct Outlet<'a> {
    pub(super) breaker: &'a Breaker,
    pub(super) scripts: &'a Scripts,
    pub(super) running: &'a Running,
    pub(super) grace_micros: i64,
    /// How long an ended attempt is remembered.
    pub(super) ended_micros: i64,
    pub(super) lease: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            pending: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            moved: Notify::new(),
            drained: Notify::new(),
            opened: Notify::new(),
        }
    }
}

impl Queue {
    pub(super) fn settle(&self, settlement: Settlement) {
        self.push(Job::Settle(settlement, Instant::now()));
    }

    pub(super) fn release(&self, lease: Lease, tokens_used: Option<u64>) {
        self.push(Job::Release(lease, tokens_used));
    }

    fn push(&self, job: Job) {
        let full = self.pending.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed) >= MOST;
        self.enter();
        if full || self.sender.send(job).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.done(1);
        }
    }

    fn enter(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
        self.entered.fetch_add(1, Ordering::AcqRel);
    }

    fn done(&self, count: usize) {
        self.answered.fetch_add(count as u64, Ordering::AcqRel);
        self.moved.notify_waiters();
        if count > 0 && self.pending.fetch_sub(count, Ordering::AcqRel) == count {
            self.drained.notify_waiters();
        }
    }

    /// An epoch was opened.
    pub(super) fn epoch_opened(&self) {
        self.opened.notify_one();
    }

    /// Queued, waiting for an epoch, dropped.
    pub(super) fn counts(&self) -> (usize, usize, u64) {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (load(&self.pending), load(&self.waiting), self.dropped.load(Ordering::Relaxed))
    }

    /// What is queued and not answered, as a place in the queue; `None` when nothing is.
    pub(super) fn under_way(&self) -> Option<u64> {
        let last = self.entered.load(Ordering::Acquire);
        (self.answered.load(Ordering::Acquire) < last).then_some(last)
    }

    /// Waits until the store has answered as much as had entered at `place`.
    pub(super) async fn reach(&self, place: u64) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.answered.load(Ordering::Acquire) >= place {
                return;
            }
            moved.await;
        }
    }

    /// Waits until nothing is queued.
    pub(super) async fn idle(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.pending.load(Ordering::Acquire) == 0 {
                return;
            }
            drained.await;
        }
    }

    /// Sends what is queued until `stop`.
    pub(super) async fn run(&self, outlet: Outlet<'_>, stop: CancellationToken) {
        let Some(mut receiver) = self.receiver.lock().take() else { return };
        let mut backlog: VecDeque<Job> = VecDeque::new();
        self.send_until(&outlet, &mut receiver, &mut backlog, stop).await;
        // Whoever still waits for the queue must not wait for ever.
        receiver.close();
        while let Ok(job) = receiver.try_recv() {
            backlog.push_back(job);
        }
        self.dropped.fetch_add(u64::try_from(backlog.len()).unwrap_or(0), Ordering::Relaxed);
        self.done(backlog.len());
    }

    async fn send_until(
        &self,
        outlet: &Outlet<'_>,
        receiver: &mut mpsc::UnboundedReceiver<Job>,
        backlog: &mut VecDeque<Job>,
        stop: CancellationToken,
    ) {
        let mut waiting = Waiting::default();
        let mut renewal = tokio::time::interval(outlet.lease / 3);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look_again = tokio::time::interval(WAIT_PAUSE);
        look_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut received = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = renewal.tick() => self.renewals(outlet, backlog),
                () = self.opened.notified(), if !waiting.settlements.is_empty() => self.again(&mut waiting, backlog),
                _ = look_again.tick(), if !waiting.settlements.is_empty() => self.again(&mut waiting, backlog),
                _ = receiver.recv_many(&mut received, BATCH) => backlog.extend(received.drain(..)),
            }
            while !backlog.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = outlet.breaker.wait_until_closed() => {}
                }
                self.trip(outlet, backlog, &mut waiting).await;
            }
        }
    }

    fn renewals(&self, outlet: &Outlet<'_>, backlog: &mut VecDeque<Job>) {
        for (organization, call, slots) in outlet.running.list() {
            self.enter();
            backlog.push_back(Job::Renew(organization, call, slots));
        }
    }

    fn again(&self, waiting: &mut Waiting, backlog: &mut VecDeque<Job>) {
        let settlements = waiting.take();
        let count = settlements.len();
        for (settlement, since) in settlements {
            if since.elapsed() > WAIT_LONGEST {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.enter();
            backlog.push_back(Job::Settle(settlement, since));
        }
        // Last, so that at no moment they seem to be nowhere.
        self.waiting.fetch_sub(count, Ordering::Release);
    }

    /// The next jobs to send, at most one settlement of each attempt. What follows one that waits
    /// waits as well.
    fn batch(&self, backlog: &mut VecDeque<Job>, waiting: &mut Waiting) -> Vec<Job> {
        let mut batch = Vec::with_capacity(backlog.len().min(BATCH));
        let mut attempts: AHashSet<(CallId, u16)> = AHashSet::new();
        while batch.len() < BATCH {
            match backlog.front() {
                Some(Job::Settle(settlement, _))
                    if !waiting.organizations.contains(&settlement.organization_id)
                        && !attempts.insert((settlement.call_id, settlement.attempt)) =>
                {
                    break;
                }
                _ => {}
            }
            match backlog.pop_front() {
                Some(Job::Settle(settlement, since))
                    if waiting.organizations.contains(&settlement.organization_id) =>
                {
                    self.waiting.fetch_add(1, Ordering::Relaxed);
                    waiting.push(settlement, since);
                    self.done(1);
                }
                Some(job) => batch.push(job),
                None => break,
            }
        }
        batch
    }

    /// Sends one batch; what failed stays in front.
    async fn trip(&self, outlet: &Outlet<'_>, backlog: &mut VecDeque<Job>, waiting: &mut Waiting) {
        let Some(link) = outlet.breaker.back() else { return };
        let mut batch = self.batch(backlog, waiting);
        let mut pipeline = Pipeline::with_capacity(batch.len());
        batch.retain(|job| match outlet.command(job, link.run_id()) {
            Some(command) => {
                pipeline.add_command(command);
                true
            }
            None => {
                self.done(1);
                false
            }
        });
        if batch.is_empty() {
            return;
        }
        let Ok(replies) = outlet.breaker.ask_many(&link, &pipeline, TRIP).await else {
            for job in batch.into_iter().rev() {
                backlog.push_front(without_correction(job));
            }
            return;
        };
        let (mut forgotten, mut refused) = (false, None);
        for (job, reply) in batch.into_iter().zip(replies) {
            match (job, reply) {
                (Job::Settle(settlement, since), Value::Int(1)) => {
                    self.waiting.fetch_add(1, Ordering::Relaxed);
                    waiting.push(settlement, since);
                }
                (job, Value::ServerError(error)) => {
                    forgotten |= error.kind() == Some(ServerErrorKind::NoScript);
                    refused = Some(error);
                    self.enter();
                    backlog.push_back(job);
                }
                _ => {}
            }
            self.done(1);
        }
        if refused.as_ref().is_some_and(|error| error.kind() == Some(ServerErrorKind::ReadOnly)) {
            outlet.breaker.demoted(&link);
        } else if forgotten {
            let _tried_again_anyway = link.teach(outlet.scripts, TRIP).await;
        } else if let Some(error) = refused {
            // Out of memory, loading, not permitted: only the error's code, and no hurry.
            tracing::warn!(code = error.code(), "redis refused a settlement");
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }
}

impl Outlet<'_> {
    fn command(&self, job: &Job, run_id: &str) -> Option<redis::Cmd> {
        match job {
            Job::Settle(settlement, _) => {
                let (grace, ended) = (self.grace_micros, self.ended_micros);
                Some(command::settle(self.scripts, run_id, settlement, grace, ended))
            }
            Job::Release(lease, tokens_used) => command::release(self.scripts, lease, *tokens_used),
            Job::Renew(organization, call, slots) => {
                let lease_ms = u64::try_from(self.lease.as_millis()).unwrap_or(30_000);
                Some(command::renew(self.scripts, *organization, &call.ulid_bytes(), slots, lease_ms))
            }
        }
    }
}

fn without_correction(job: Job) -> Job {
    match job {
        Job::Release(lease, _) => Job::Release(lease, None),
        other => other,
    }
}
