//! The limiter over Redis: shared by all nodes of a pool.
//!
//! One script call decides; everything else (settling, renewing, sweeping, reconnecting) runs in
//! three background tasks. Key layout in `names`, semantics in `scripts/*.lua`.

mod breaker;
mod command;
mod decide;
mod denied;
mod epoch_command;
mod epochs;
mod fallback;
mod finder;
mod grants;
mod left;
mod link;
mod names;
mod news;
mod passed;
mod queue;
mod rooms;
mod running;
mod script;
mod survey;
mod sweep;

pub(crate) use self::decide::Decision;
pub use self::news::Heard;
pub use self::survey::{Survey, survey, survey_sentinels};

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use dashmap::DashSet;
use parking_lot::RwLock;
use tidegate_types::{Clock, OrganizationId, Timestamp};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::breaker::Breaker;
use self::denied::Denied;
use self::fallback::FairShares;
use self::grants::Grants;
use self::queue::{Outlet, Queue};
use self::rooms::Rooms;
use self::running::Running;
use self::script::Scripts;
use crate::admit::{Lease, ScopeLimits, Source};
use crate::budget::{BudgetHold, Settlement};
use crate::error::LimitError;
use crate::left::Process;
use crate::limiter::{Mode, Stats};
use crate::settings::{RedisSettings, Timing};

pub(crate) use finder::Finder;

/// Longest time that the start waits for the first connection.
const START: Duration = Duration::from_secs(1);

/// Everything a node keeps for its Redis.
pub(crate) struct RedisStore {
    breaker: Breaker,
    scripts: Arc<Scripts>,
    denied: Denied,
    shares: FairShares,
    running: Running,
    rooms: Rooms,
    queue: Queue,
    grants: Grants,
    /// How this process marks its holds.
    mark: RwLock<names::Name>,
    /// Organizations that had holds since the start: those that are swept.
    seen: DashSet<OrganizationId, RandomState>,
    timing: Timing,
    seed: u64,
    permits: std::sync::atomic::AtomicU64,
    passed: passed::Counts,
    tasks: TaskTracker,
}

impl RedisStore {
    pub(crate) async fn start(
        settings: RedisSettings,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, LimitError> {
        let finder = Finder::new(&settings)?;
        let scripts = Arc::new(Scripts::new());
        let RedisSettings { connections, decision, seed, timing, grants, .. } = settings;
        let grace_micros = i64::try_from(timing.grace.as_micros()).unwrap_or(i64::MAX);
        let lease_micros = i64::try_from(timing.lease.as_micros()).unwrap_or(i64::MAX);
        let breaker = Breaker::new(finder, Arc::clone(&scripts), clock, decision, connections, seed);
        if let Ok(begun) = tokio::time::timeout(START, breaker.begin()).await {
            begun?;
        }
        let store = Arc::new(Self {
            breaker,
            scripts,
            denied: Denied::default(),
            shares: FairShares::default(),
            running: Running::default(),
            rooms: Rooms::default(),
            queue: Queue::default(),
            grants: Grants::new(grants, seed, grace_micros, lease_micros),
            mark: RwLock::default(),
            seen: DashSet::default(),
            timing,
            seed,
            permits: std::sync::atomic::AtomicU64::new(0),
            passed: passed::Counts::default(),
            tasks: TaskTracker::new(),
        });
        store.spawn(&stop);
        Ok(store)
    }

    fn spawn(self: &Arc<Self>, stop: &CancellationToken) {
        let (store, token) = (Arc::clone(self), stop.clone());
        self.tasks.spawn(async move {
            store.breaker.keep(token, || store.shares.recovered(store.breaker.now())).await;
        });
        let (store, token) = (Arc::clone(self), stop.clone());
        self.tasks.spawn(async move {
            let outlet = Outlet {
                breaker: &store.breaker,
                scripts: &store.scripts,
                running: &store.running,
                grace_micros: store.grace_micros(),
                ended_micros: i64::try_from(store.timing.ended.as_micros()).unwrap_or(i64::MAX),
                lease: store.timing.lease,
            };
            store.queue.run(outlet, token).await;
        });
        let (store, token) = (Arc::clone(self), stop.clone());
        self.tasks.spawn(async move { store.sweep_until(token).await });
        let (store, token) = (Arc::clone(self), stop.clone());
        self.tasks.spawn(async move { store.exchange_until(token).await });
        self.tasks.close();
    }

    fn grace_micros(&self) -> i64 {
        i64::try_from(self.timing.grace.as_micros()).unwrap_or(i64::MAX)
    }

    fn lease_ms(&self) -> u64 {
        u64::try_from(self.timing.lease.as_millis()).unwrap_or(u64::MAX)
    }

    /// Holds are placed in this process's name from now on.
    pub(crate) fn place_as(&self, process: Process) {
        *self.mark.write() = left::mark(process);
    }

    pub(crate) fn settle(&self, settlement: Settlement) {
        if let Some(settlement) = self.grants.settle(settlement, self.now()) {
            self.queue.settle(settlement);
        }
    }

    /// The least that these budgets had left when they were last asked.
    pub(crate) fn room(&self, organization: OrganizationId, budgets: &[BudgetHold]) -> Option<i64> {
        self.rooms.of(organization, budgets)
    }

    pub(crate) fn allow_grants(&self, organization: OrganizationId, epoch: u64, percent: u8) {
        self.grants.allow(organization, epoch, percent);
    }

    pub(crate) fn end_grants_before(&self, organization: OrganizationId, epoch: u64) {
        self.grants.end_before(organization, epoch);
    }

    pub(crate) fn take_wanting_grants(&self) -> Vec<(OrganizationId, u64)> {
        self.grants.take_wanting()
    }

    pub(crate) fn give_back(&self, lease: Lease, tokens_used: Option<u64>) {
        self.running.remove(lease.organization_id, lease.call_id);
        for entry in &lease.scopes {
            self.denied.freed(lease.organization_id, entry.scope);
        }
        match lease.source {
            Source::Store => self.queue.release(lease, tokens_used),
            Source::Grant => self.grants.ended(&lease, tokens_used),
            // What was granted from the fair share was never taken from Redis.
            Source::Share | Source::Here => {}
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.breaker.now()
    }

    pub(crate) fn run_id(&self) -> Option<String> {
        self.breaker.run_id()
    }

    pub(crate) fn mode(&self) -> Mode {
        if self.breaker.is_closed() { Mode::Healthy } else { Mode::Away }
    }

    pub(crate) fn set_live_nodes(&self, nodes: u32) {
        self.shares.set_nodes(nodes);
        self.grants.set_nodes(nodes);
    }

    pub(crate) async fn idle(&self) {
        self.move_settlements();
        self.queue.idle().await;
        self.settle_up().await;
        self.move_settlements();
        self.queue.idle().await;
    }

    pub(crate) fn under_way(&self) -> Option<u64> {
        self.queue.under_way()
    }

    /// Whether the queue got as far as `place` in the time that a decision may take. Refusals for slots
    /// that are given back with it are forgotten.
    pub(crate) async fn caught_up(
        &self,
        place: u64,
        organization: OrganizationId,
        scopes: &[ScopeLimits],
    ) -> bool {
        let reached = tokio::time::timeout(self.breaker.decision(), self.queue.reach(place)).await.is_ok();
        for entry in scopes.iter().filter(|_| reached) {
            self.denied.freed(organization, entry.scope);
        }
        reached
    }

    pub(crate) async fn stopped(&self) {
        self.tasks.wait().await;
    }

    pub(crate) fn stats(&self) -> Stats {
        let (queued, waiting, dropped) = self.queue.counts();
        Stats {
            queued,
            waiting,
            dropped,
            denied_locally: self.denied.hits(),
            trips: self.breaker.trips(),
            passed: self.passed.stats(),
            ..self.grants.stats()
        }
    }
}
