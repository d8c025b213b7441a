//! The limiter over Redis: shared by all nodes of a pool.
//!
//! One script call decides; everything else (settling, renewing, sweeping, reconnecting) runs in
//! background tasks. Key layout in `names`, semantics in `scripts/*.lua`. What is known of an organization
//! lies here once, whichever server counts for it (`route`); a server has connections and a queue (`shard`).

mod breaker;
mod cluster;
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
mod route;
mod running;
mod script;
mod shard;
mod slot;
mod survey;
mod sweep;

pub use self::cluster::{ClusterSurvey, survey_cluster};
pub(crate) use self::decide::Decision;
pub use self::news::{Board, Heard};
pub use self::survey::{Survey, survey, survey_sentinels};

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use dashmap::DashSet;
use parking_lot::RwLock;
use tidegate_types::{Clock, OrganizationId, Timestamp};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::breaker::{Breaker, Kit};
use self::cluster::Cluster;
use self::denied::Denied;
use self::fallback::FairShares;
use self::grants::Grants;
use self::queue::{Job, Outlet};
use self::rooms::Rooms;
use self::route::{Route, Standing};
use self::running::Running;
use self::script::Scripts;
use self::shard::Shard;
use crate::admit::{Lease, ScopeLimits, Source};
use crate::budget::{BudgetHold, Settlement};
use crate::error::LimitError;
use crate::left::Process;
use crate::settings::{RedisSettings, Timing};
use crate::stats::{Mode, Stats};

pub(crate) use finder::Finder;

/// Longest time that the start waits for the first connection.
const START: Duration = Duration::from_secs(1);

/// Everything a node keeps for its Redis.
pub(crate) struct RedisStore {
    route: Route,
    scripts: Arc<Scripts>,
    denied: Denied,
    shares: FairShares,
    running: Running,
    rooms: Rooms,
    grants: Grants,
    /// How this process marks its holds.
    mark: RwLock<names::Name>,
    /// Organizations that had holds since the start: those that are swept.
    seen: DashSet<OrganizationId, RandomState>,
    timing: Timing,
    seed: u64,
    permits: std::sync::atomic::AtomicU64,
    passed: passed::Counts,
    kit: Kit,
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
        let version = Arc::default();
        let totals = Arc::default();
        let kit = Kit { scripts: Arc::clone(&scripts), clock, decision, connections, seed, version, totals };
        let store = Arc::new(Self {
            route: begin(finder, kit.clone(), &stop).await?,
            scripts,
            kit,
            denied: Denied::default(),
            shares: FairShares::default(),
            running: Running::default(),
            rooms: Rooms::default(),
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
        self.route.all().into_iter().for_each(|shard| self.spawn_shard(shard));
        let (store, token) = (Arc::clone(self), stop.clone());
        self.tasks.spawn(async move { store.sweep_until(token).await });
        let (store, token) = (Arc::clone(self), stop.clone());
        self.tasks.spawn(async move { store.exchange_until(token).await });
        let (store, token) = (Arc::clone(self), stop.clone());
        self.tasks.spawn(async move {
            let _ended = token.run_until_cancelled(store.follow()).await;
        });
        self.tasks.close();
    }

    /// Begins what keeps one server's connections, and sends what is queued for it.
    fn spawn_shard(self: &Arc<Self>, shard: Arc<Shard>) {
        if shard.is_server {
            let kept = Arc::clone(&shard);
            self.tasks.spawn(async move { kept.breaker.keep(kept.stop.clone()).await });
        }
        let store = Arc::clone(self);
        self.tasks.spawn(async move {
            let outlet = Outlet {
                shard: &shard,
                route: &store.route,
                scripts: &store.scripts,
                running: &store.running,
                grace_micros: store.grace_micros(),
                ended_micros: i64::try_from(store.timing.ended.as_micros()).unwrap_or(i64::MAX),
                lease: store.timing.lease,
            };
            shard.queue.run(outlet, shard.stop.clone()).await;
        });
    }

    /// Follows the cluster, where there is one.
    async fn follow(self: &Arc<Self>) {
        let Route::Many(cluster) = &self.route else { return };
        let (mut looks, mut vain) = (0, 0);
        loop {
            let is_hinted = cluster.wait(looks, vain).await;
            looks = if self.route.standing().is_well() { 0 } else { looks.saturating_add(1) };
            // Why nobody says anything is logged there.
            let change = cluster.look().await.unwrap_or_default();
            vain = if is_hinted && !change.is_news { vain.saturating_add(1) } else { 0 };
            change.begun.into_iter().for_each(|shard| self.spawn_shard(shard));
            change.retired.iter().for_each(|shard| shard.stop.cancel());
        }
    }

    /// Hands a job to the queue of the server that counts for its organization.
    fn enqueue(&self, job: Job) {
        // A server that retires at this moment hands it back once; the next one is in the map by then.
        let Some(job) = self.route.of(job.organization()).queue.push(job) else { return };
        let shard = self.route.of(job.organization());
        if shard.queue.push(job).is_some() {
            shard.queue.note_dropped();
        }
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
            self.enqueue(Job::settle(settlement));
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
            Source::Store => self.enqueue(Job::Release(lease, tokens_used)),
            Source::Grant => self.grants.ended(&lease, tokens_used),
            // What was granted from the fair share was never taken from Redis.
            Source::Share | Source::Here => {}
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.route.fleet().breaker.now()
    }

    pub(crate) fn run_id(&self, organization: OrganizationId) -> Option<String> {
        self.route.of(organization).breaker.run_id()
    }

    pub(crate) fn version(&self) -> u64 {
        self.kit.version.load(std::sync::atomic::Ordering::Acquire)
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.route.standing() {
            standing if standing.is_well() => Mode::Healthy,
            Standing { servers, away, .. } if away < servers => Mode::Partly,
            _ => Mode::Away,
        }
    }

    pub(crate) fn set_live_nodes(&self, nodes: u32) {
        self.shares.set_nodes(nodes);
        self.grants.set_nodes(nodes);
    }

    pub(crate) async fn idle(&self) {
        self.move_settlements();
        self.queues_idle().await;
        self.settle_up().await;
        self.move_settlements();
        self.queues_idle().await;
    }

    async fn queues_idle(&self) {
        // What waits may go to another queue meanwhile.
        loop {
            let before = self.version();
            for shard in self.route.all() {
                shard.queue.idle().await;
            }
            if self.version() == before {
                return;
            }
        }
    }

    pub(crate) fn under_way(&self, organization: OrganizationId) -> Option<u64> {
        self.route.of(organization).queue.under_way()
    }

    /// Whether the queue got as far as `place` in the time that a decision may take. Refusals for slots
    /// that are given back with it are forgotten.
    pub(crate) async fn caught_up(
        &self,
        place: u64,
        organization: OrganizationId,
        scopes: &[ScopeLimits],
    ) -> bool {
        let shard = self.route.of(organization);
        let reached = tokio::time::timeout(shard.breaker.decision(), shard.queue.reach(place)).await.is_ok();
        for entry in scopes.iter().filter(|_| reached) {
            self.denied.freed(organization, entry.scope);
        }
        reached
    }

    pub(crate) async fn stopped(&self) {
        self.tasks.wait().await;
    }

    pub(crate) fn stats(&self) -> Stats {
        let standing = self.route.standing();
        let count = |total: &std::sync::atomic::AtomicU64| total.load(std::sync::atomic::Ordering::Relaxed);
        let mut stats = Stats {
            trips: count(&self.kit.totals.trips),
            dropped: count(&self.kit.totals.dropped),
            moved: count(&self.kit.totals.moved),
            primaries: standing.servers,
            primaries_away: standing.away,
            slots_unserved: standing.unserved,
            denied_locally: self.denied.hits(),
            passed: self.passed.stats(),
            ..self.grants.stats()
        };
        for shard in self.route.all() {
            let (queued, waiting) = shard.queue.counts();
            stats.queued += queued;
            stats.waiting += waiting;
        }
        stats
    }
}

/// Finds whoever counts, for as long as a start may wait.
async fn begin(finder: Finder, kit: Kit, stop: &CancellationToken) -> Result<Route, LimitError> {
    if finder.seeds().is_empty() {
        let shard = Shard::new(Breaker::new(finder, &kit, None, 0), stop.clone());
        if let Ok(begun) = tokio::time::timeout(START, shard.breaker.begin()).await {
            begun?;
        }
        return Ok(Route::One(Arc::new(shard)));
    }
    let cluster = Box::new(Cluster::new(finder, kit, stop.clone()));
    if let Ok(begun) = tokio::time::timeout(START, cluster.begin()).await {
        begun?;
    }
    Ok(Route::Many(cluster))
}
