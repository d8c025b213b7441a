//! A limiter under test, either kind, and short ways to say what is asked of it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use smallvec::{SmallVec, smallvec};
use tidegate_limits::{
    Admit, Balance, BudgetHold, GrantSettings, HeldUnder, Hold, LimitError, Limiter, Mode, RateScope,
    RedisSettings, Refusal, ScopeLimits, Timing,
};
use tidegate_testkit::cluster::Cluster;
use tidegate_testkit::redis::Server;
use tidegate_types::resource::{KeyLimits, OpeningBalance};
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, Clock, KeyId, NanoUsd, OrganizationId, Secret, TeamId, Timestamp};
use tokio_util::sync::CancellationToken;

pub(crate) const ORGANIZATION: OrganizationId = OrganizationId::from_u128(0xA11CE);
pub(crate) const TIMING: Timing = Timing {
    grace: Duration::from_millis(300),
    ended: Duration::from_secs(120),
    sweep: Duration::from_millis(100),
    lease: Duration::from_millis(1500),
};
/// Longest wait for something that must happen: no promise of speed, only an end.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// The machine's clock.
pub(crate) struct RealClock;

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(since.as_micros().try_into().unwrap())
    }
}

/// A clock that stands still until it is moved.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_micros().try_into().unwrap(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A limiter and what stands behind it.
pub(crate) struct Bench {
    pub(crate) limiter: Limiter,
    pub(crate) server: Option<Server>,
    clock: Option<Arc<HandClock>>,
    stop: CancellationToken,
    pub(crate) granted: bool,
}

pub(crate) fn settings(server: &Server, seed: u64) -> RedisSettings {
    RedisSettings { timing: TIMING, ..RedisSettings::new(Secret::new(server.url()), seed) }
}

pub(crate) async fn connect(server: &Server, seed: u64, stop: &CancellationToken) -> Limiter {
    begin(settings(server, seed), stop).await
}

pub(crate) async fn begin(mut settings: RedisSettings, stop: &CancellationToken) -> Limiter {
    // The machine is shared with compilers: a pause of the test is not an outage of Redis.
    settings.decision = Duration::from_secs(2);
    // Every call asks Redis: what nodes take in advance is for `connect_granted`.
    settings.grants.rates = false;
    Limiter::redis(settings, Arc::new(RealClock), stop.clone()).await.unwrap()
}

/// A process that places holds on grants wherever it can.
pub(crate) async fn connect_granted(server: &Server, seed: u64, stop: &CancellationToken) -> Limiter {
    begin_granted(settings(server, seed), stop).await
}

/// The same over any store.
pub(crate) async fn begin_granted(mut settings: RedisSettings, stop: &CancellationToken) -> Limiter {
    settings.decision = Duration::from_secs(2);
    let (report, recall) = (Duration::from_millis(10), Duration::from_millis(60));
    settings.grants = GrantSettings { eager: true, often: 1, report, recall, ..settings.grants };
    Limiter::redis(settings, Arc::new(RealClock), stop.clone()).await.unwrap()
}

impl Bench {
    pub(crate) fn memory() -> Self {
        let clock = HandClock::new();
        let limiter = Limiter::memory("boot-1".into(), Arc::clone(&clock) as Arc<dyn Clock>, TIMING);
        Self { limiter, server: None, clock: Some(clock), stop: CancellationToken::new(), granted: false }
    }

    pub(crate) async fn redis() -> Self {
        let server = Server::start().unwrap();
        let stop = CancellationToken::new();
        let limiter = connect(&server, 7, &stop).await;
        Self { limiter, server: Some(server), clock: None, stop, granted: false }
    }

    /// Over Redis, with every hold placed on a grant where that is possible.
    pub(crate) async fn granted() -> Self {
        let server = Server::start().unwrap();
        let stop = CancellationToken::new();
        let limiter = connect_granted(&server, 7, &stop).await;
        Self { limiter, server: Some(server), clock: None, stop, granted: true }
    }

    /// Over a cluster, emptied before.
    async fn cluster(cluster: &Cluster, granted: bool) -> Self {
        for primary in &cluster.primaries {
            primary.flush().unwrap();
        }
        let stop = CancellationToken::new();
        let addresses = Some(cluster.addresses());
        let settings = RedisSettings { cluster: addresses, ..settings(&cluster.primaries[0], 7) };
        let limiter =
            if granted { begin_granted(settings, &stop).await } else { begin(settings, &stop).await };
        eventually("every primary is reached", async || limiter.mode() == Mode::Healthy).await;
        Self { limiter, server: None, clock: None, stop, granted }
    }

    /// Whether holds are placed on grants.
    pub(crate) fn is_granted(&self) -> bool {
        self.granted
    }

    /// What is told to be left of a rate: exactly so much, or less by what this process has taken in advance by now.
    pub(crate) fn assert_left<T: PartialOrd + Copy + std::fmt::Debug>(&self, told: T, exactly: T) {
        assert!(told == exactly || (self.granted && told < exactly), "{told:?} left, not {exactly:?}");
    }

    /// Lets time pass: at once in memory, really with Redis.
    pub(crate) async fn pass(&self, time: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(time),
            None => tokio::time::sleep(time).await,
        }
    }

    /// Everything that was queued is through, and overdue holds are turned.
    pub(crate) async fn settled(&self) {
        tokio::time::timeout(SOON, self.limiter.idle()).await.expect("the queue drains");
        self.limiter.sweep().await;
    }

    pub(crate) async fn balance(&self, budget: u128) -> Balance {
        self.settled().await;
        self.limiter.balances(ORGANIZATION, &[(BudgetId::from_u128(budget), month())]).await.unwrap()[0]
    }

    /// (spent, held, unresolved) of a budget's month.
    pub(crate) async fn figures(&self, budget: u128) -> (i64, i64, i64) {
        let balance = self.balance(budget).await;
        (balance.spent.get(), balance.held.get(), balance.unresolved.get())
    }

    pub(crate) async fn open(&self, epoch: u64) {
        self.limiter.open_epoch(ORGANIZATION, epoch, &[], &[]).await.unwrap();
        if self.granted {
            self.limiter.allow_grants(ORGANIZATION, epoch, 100);
        }
    }

    pub(crate) fn deadline(&self) -> Timestamp {
        self.limiter.now().plus_millis(60_000)
    }

    pub(crate) fn hold(&self, call: CallId, attempt: u16, parts: &[BudgetHold]) -> Hold {
        Hold {
            call_id: call,
            attempt,
            step: 0,
            epoch: 1,
            deadline: self.deadline(),
            budgets: SmallVec::from_slice(parts),
        }
    }

    /// Places a hold without rates.
    pub(crate) async fn place(&self, hold: &Hold) -> Result<u64, LimitError> {
        self.limiter
            .admit(&admit(hold.call_id, &[], 0, Some(hold.clone())))
            .await
            .map(|admitted| admitted.held.epoch)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

thread_local! {
    /// What scenarios of this thread run over in place of stores of their own.
    static CLUSTER: RefCell<Option<Arc<Cluster>>> = const { RefCell::new(None) };
    /// Runs over it.
    static RUNS: Cell<usize> = const { Cell::new(0) };
}

/// Runs scenarios of this thread over a cluster, emptied before each.
pub(crate) fn over_cluster(cluster: Option<Arc<Cluster>>) {
    CLUSTER.set(cluster);
}

/// How many runs over a cluster there were on this thread.
pub(crate) fn runs_over_cluster() -> usize {
    RUNS.get()
}

/// Runs a scenario over memory, then over Redis, then over Redis with grants.
pub(crate) async fn on_both<F: Future<Output = ()>>(scenario: impl Fn(Arc<Bench>) -> F) {
    if let Some(cluster) = CLUSTER.with_borrow(Clone::clone) {
        for granted in [false, true] {
            println!("over a cluster, on grants: {granted}");
            scenario(Arc::new(Bench::cluster(&cluster, granted).await)).await;
            RUNS.set(RUNS.get() + 1);
        }
        return;
    }
    println!("over memory");
    scenario(Arc::new(Bench::memory())).await;
    println!("over redis");
    scenario(Arc::new(Bench::redis().await)).await;
    println!("over redis, on grants");
    scenario(Arc::new(Bench::granted().await)).await;
}

/// Asks until `check` holds; panics with `what` when it does not come true.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let began = Instant::now();
    while !check().await {
        assert!(began.elapsed() < SOON, "{what} did not come true within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A call id never used before in this process.
pub(crate) fn call() -> CallId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    CallId::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn month() -> Window {
    // Far in the future, so that counters outlive the test.
    Window { start: Timestamp::from_seconds(1_700_000_000), end: Timestamp::from_seconds(4_000_000_000) }
}

/// What the books know of a budget's window, [`month`].
pub(crate) fn balance(budget: u128, spent: i64, unresolved: i64) -> OpeningBalance {
    OpeningBalance {
        budget_id: BudgetId::from_u128(budget),
        window_start: month().start,
        window_end: month().end,
        spent: NanoUsd::new(spent),
        unresolved: NanoUsd::new(unresolved),
    }
}

pub(crate) fn hard(budget: u128, limit: i64, amount: i64) -> BudgetHold {
    BudgetHold {
        budget_id: BudgetId::from_u128(budget),
        window: month(),
        limit: NanoUsd::new(limit),
        limit_revision: 1,
        amount: NanoUsd::new(amount),
        hard: true,
    }
}

pub(crate) fn soft(budget: u128, limit: i64, amount: i64) -> BudgetHold {
    BudgetHold { hard: false, ..hard(budget, limit, amount) }
}

pub(crate) const fn spent(nano: i64) -> tidegate_limits::End {
    tidegate_limits::End::Spent(NanoUsd::new(nano))
}

pub(crate) fn key(requests: Option<u32>, tokens: Option<u32>, concurrency: Option<u32>) -> ScopeLimits {
    let limits = KeyLimits { requests_per_minute: requests, tokens_per_minute: tokens, concurrency };
    ScopeLimits { scope: RateScope::Key(KeyId::from_u128(77)), limits }
}

pub(crate) fn team(requests: Option<u32>, tokens: Option<u32>, concurrency: Option<u32>) -> ScopeLimits {
    ScopeLimits { scope: RateScope::Team(TeamId::from_u128(88)), ..key(requests, tokens, concurrency) }
}

pub(crate) fn admit(call: CallId, scopes: &[ScopeLimits], tokens: u64, hold: Option<Hold>) -> Admit {
    let scopes = if scopes.is_empty() { smallvec![] } else { SmallVec::from_slice(scopes) };
    Admit { organization_id: ORGANIZATION, call_id: call, scopes, tokens, hold }
}

pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, LimitError>) -> Refusal {
    match result {
        Err(LimitError::Refused(refused)) => refused.refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// A hold of a new call under epoch 1, for a minute.
pub(crate) fn hold(limiter: &Limiter, parts: &[BudgetHold]) -> Hold {
    Hold {
        call_id: call(),
        attempt: 0,
        step: 0,
        epoch: 1,
        deadline: limiter.now().plus_millis(60_000),
        budgets: parts.iter().copied().collect(),
    }
}

/// Asks for it.
pub(crate) async fn place(limiter: &Limiter, hold: &Hold) -> Result<HeldUnder, LimitError> {
    limiter.admit(&admit(hold.call_id, &[], 0, Some(hold.clone()))).await.map(|admitted| admitted.held)
}

/// The epoch that it was placed under.
pub(crate) fn epoch(held: Result<HeldUnder, LimitError>) -> Result<u64, LimitError> {
    held.map(|held| held.epoch)
}

/// Spent, held (grants that are out included) and unresolved, as the store has it now.
pub(crate) async fn stored(limiter: &Limiter, budget: u128) -> (i64, i64, i64) {
    let asked = [(BudgetId::from_u128(budget), month())];
    let balance = limiter.balances(ORGANIZATION, &asked).await.unwrap()[0];
    (balance.spent.get(), balance.held.get(), balance.unresolved.get())
}

/// Scripts that a server has run.
pub(crate) fn scripts_run(server: &Server) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]).unwrap();
    assert!(stats.starts_with("# Commandstats"), "no answer is not none");
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.and_then(|rest| rest.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}
