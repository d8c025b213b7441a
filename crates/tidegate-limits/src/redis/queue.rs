//! Settlements and releases on their way to one server, off every caller's path.
//!
//! One task takes what is queued, sends it in one trip and repeats it until it is through.
//! Settlements are idempotent and are repeated; a release whose answer was lost is repeated
//! without its token correction, which is not. What another server counts by now goes to its queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ahash::AHashSet;
use parking_lot::Mutex;
use redis::{Pipeline, ServerErrorKind, Value};
use tidegate_types::{CallId, OrganizationId};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command;
use super::link::elsewhere;
use super::route::Route;
use super::running::Running;
use super::script::Scripts;
use super::shard::{Shard, Totals};
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

/// What a server is told.
pub(super) enum Job {
    Settle(Settlement, Instant),
    Release(Lease, Option<u64>),
    Renew(OrganizationId, CallId, super::running::Slots),
}

impl Job {
    pub(super) fn settle(settlement: Settlement) -> Self {
        Self::Settle(settlement, Instant::now())
    }

    pub(super) const fn organization(&self) -> OrganizationId {
        match self {
            Self::Settle(settlement, _) => settlement.organization_id,
            Self::Release(lease, _) => lease.organization_id,
            Self::Renew(organization, ..) => *organization,
        }
    }
}

/// What waits: settlements for an epoch, anything for a slot that is on its way to another server. Of one attempt
/// the first word counts: what comes after it waits behind it.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    organizations: AHashSet<OrganizationId>,
}

impl Waiting {
    fn push(&mut self, job: Job) {
        self.organizations.insert(job.organization());
        self.jobs.push_back(job);
    }

    fn take(&mut self) -> VecDeque<Job> {
        self.organizations.clear();
        std::mem::take(&mut self.jobs)
    }
}

/// The queue's inlet and its counts.
pub(super) struct Queue {
    sender: mpsc::UnboundedSender<Job>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Job>>>,
    pending: AtomicUsize,
    waiting: AtomicUsize,
    totals: Arc<Totals>,
    /// Jobs that ever entered, and jobs that the store has answered; one that is tried again enters again.
    entered: AtomicU64,
    answered: AtomicU64,
    /// Something was answered.
    moved: Notify,
    drained: Notify,
    /// An epoch was opened: those that wait may go.
    opened: Notify,
    /// Slots have other servers: some of what is here may have to go there.
    remapped: Notify,
}

/// What the task needs to send.
pub(super) struct Outlet<'a> {
    /// The server.
    pub(super) shard: &'a Shard,
    /// Knows who counts for whom.
    pub(super) route: &'a Route,
    pub(super) scripts: &'a Scripts,
    pub(super) running: &'a Running,
    pub(super) grace_micros: i64,
    /// How long an ended attempt is remembered.
    pub(super) ended_micros: i64,
    pub(super) lease: Duration,
}

impl Queue {
    pub(super) fn new(totals: Arc<Totals>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            pending: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            totals,
            entered: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            moved: Notify::new(),
            drained: Notify::new(),
            opened: Notify::new(),
            remapped: Notify::new(),
        }
    }

    /// Takes a job, or gives it back: nothing is sent from here any more.
    pub(super) fn push(&self, job: Job) -> Option<Job> {
        if self.pending.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed) >= MOST {
            self.note_dropped();
            return None;
        }
        self.enter();
        let refused = self.sender.send(job).err()?;
        self.done(1);
        Some(refused.0)
    }

    /// A job was given up.
    pub(super) fn note_dropped(&self) {
        self.totals.dropped.fetch_add(1, Ordering::Relaxed);
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

    /// Slots have other servers.
    pub(super) fn remapped(&self) {
        self.remapped.notify_one();
    }

    /// Queued, waiting for an epoch.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.pending.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed))
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
        let (mut backlog, mut waiting) = (VecDeque::new(), Waiting::default());
        self.send_until(&outlet, &mut receiver, &mut backlog, &mut waiting, stop).await;
        // Whoever still waits for the queue must not wait for ever.
        receiver.close();
        // Also by whoever is between his look and his word.
        while let Some(job) = receiver.recv().await {
            backlog.push_back(job);
        }
        self.hand_on(&outlet, &mut backlog, &mut waiting);
        self.totals.dropped.fetch_add(u64::try_from(backlog.len()).unwrap_or(0), Ordering::Relaxed);
        self.done(backlog.len());
    }

    async fn send_until(
        &self,
        outlet: &Outlet<'_>,
        receiver: &mut mpsc::UnboundedReceiver<Job>,
        backlog: &mut VecDeque<Job>,
        waiting: &mut Waiting,
        stop: CancellationToken,
    ) {
        let mut renewal = tokio::time::interval(outlet.lease / 3);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look_again = tokio::time::interval(WAIT_PAUSE);
        look_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut received = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.remapped.notified() => self.hand_on(outlet, backlog, waiting),
                _ = renewal.tick() => self.renewals(outlet, backlog),
                () = self.opened.notified(), if !waiting.jobs.is_empty() => self.again(waiting, backlog),
                _ = look_again.tick(), if !waiting.jobs.is_empty() => self.again(waiting, backlog),
                _ = receiver.recv_many(&mut received, BATCH) => {
                    backlog.extend(received.drain(..).filter_map(|job| self.keep(outlet, job)));
                }
            }
            while !backlog.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.remapped.notified() => {
                        self.hand_on(outlet, backlog, waiting);
                        continue;
                    }
                    () = outlet.shard.breaker.wait_until_closed() => {}
                }
                self.trip(outlet, backlog, waiting).await;
            }
        }
    }

    /// Keeps a job that is this server's; another one's goes to its queue.
    fn keep(&self, outlet: &Outlet<'_>, job: Job) -> Option<Job> {
        let Some(other) = outlet.route.elsewhere(job.organization(), outlet.shard) else { return Some(job) };
        // Renewals are made anew there.
        if !matches!(job, Job::Renew(..)) && other.queue.push(job).is_some() {
            self.note_dropped();
        }
        self.done(1);
        None
    }

    /// Hands on what another server counts by now.
    fn hand_on(&self, outlet: &Outlet<'_>, backlog: &mut VecDeque<Job>, waiting: &mut Waiting) {
        let moves = |job: &Job| outlet.route.elsewhere(job.organization(), outlet.shard).is_some();
        if waiting.jobs.iter().any(moves) {
            self.again(waiting, backlog);
        }
        let all = std::mem::take(backlog);
        backlog.extend(all.into_iter().filter_map(|job| self.keep(outlet, job)));
    }

    fn renewals(&self, outlet: &Outlet<'_>, backlog: &mut VecDeque<Job>) {
        let is_here = |organization| outlet.route.elsewhere(organization, outlet.shard).is_none();
        for (organization, call, slots) in outlet.running.list(is_here) {
            self.enter();
            backlog.push_back(Job::Renew(organization, call, slots));
        }
    }

    fn again(&self, waiting: &mut Waiting, backlog: &mut VecDeque<Job>) {
        let jobs = waiting.take();
        let count = jobs.len();
        for job in jobs {
            if matches!(&job, Job::Settle(_, since) if since.elapsed() > WAIT_LONGEST) {
                self.note_dropped();
                continue;
            }
            self.enter();
            backlog.push_back(job);
        }
        // Last, so that at no moment they seem to be nowhere.
        self.waiting.fetch_sub(count, Ordering::Release);
    }

    /// Keeps a job for later.
    fn wait(&self, job: Job, waiting: &mut Waiting) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        waiting.push(job);
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
                    self.wait(Job::Settle(settlement, since), waiting);
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
        let Some(link) = outlet.shard.breaker.back() else { return };
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
        let Ok(replies) = outlet.shard.breaker.ask_many(&link, &pipeline, TRIP).await else {
            for job in batch.into_iter().rev() {
                backlog.push_front(without_correction(job));
            }
            return;
        };
        let (mut forgotten, mut refused) = (false, None);
        for (job, reply) in batch.into_iter().zip(replies) {
            match (job, reply) {
                (job @ Job::Settle(..), Value::Int(1)) => self.wait(job, waiting),
                // Its slot is on its way: those of other slots go on.
                (Job::Renew(..), Value::ServerError(error)) if elsewhere(&error).is_some() => {}
                (job, Value::ServerError(error)) if elsewhere(&error).is_some() => self.wait(job, waiting),
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
            outlet.shard.breaker.demoted(&link);
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
