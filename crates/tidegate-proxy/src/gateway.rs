//! What the request's path shares: configuration, limiter, way out, journal, and how to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use ipnet::IpNet;
use tidegate_limits::Limiter;
use tidegate_policy::Config;
use tidegate_telemetry::Metrics;
use tidegate_types::id::{Id, IdKind};
use tidegate_types::{Clock, Timestamp};
use tidegate_upstream::{GOOGLE_TOKEN_URL, Means, Upstreams};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::{self, ResponseCache};
use crate::edges::{Authority, Questions, Records, Vault};
use crate::gen_ai::GenAi;
use crate::health::Health;
use crate::metrics::Meters;
use crate::news;
use crate::typical::{FEW, Typical};
use crate::waiting::Waiting;

/// Bounds of time and size. The defaults are the product's promises.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For a request's head, once begun.
    pub head_timeout: Duration,
    /// For a connection without a request.
    pub idle_timeout: Duration,
    /// For a caller that takes nothing of its answer.
    pub write_timeout: Duration,
    /// Before a body's rate counts.
    pub body_grace: Duration,
    /// Bytes per second that a body must bring after that.
    pub body_rate: u64,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Largest whole answer in bytes.
    pub max_answer: usize,
    /// For one attempt until its first event, where no route says less.
    pub attempt_timeout: Duration,
    /// For all attempts until the first event, where no route says less.
    pub total_timeout: Duration,
    /// Between two pieces of a stream.
    pub stream_idle_timeout: Duration,
    /// For a whole stream; also the life of a hold.
    pub max_stream: Duration,
    /// For usage after the finish of a stream.
    pub usage_wait: Duration,
    /// Answers read on at once after their callers left.
    pub max_drains: usize,
    /// For money that other calls hold and may give back, before a call is refused for it.
    pub budget_patience: Duration,
    /// Proxies in front whose word on the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where Google gives access tokens to service accounts.
    pub google_token_url: String,
    /// Bytes of memory for answers that are kept to be given again; 0: none are kept.
    pub cache_bytes: usize,
    /// The largest of them.
    pub cache_entry_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            body_grace: Duration::from_secs(10),
            body_rate: 16 * 1024,
            max_body: 32 * 1024 * 1024,
            max_answer: 64 * 1024 * 1024,
            attempt_timeout: Duration::from_secs(300),
            total_timeout: Duration::from_secs(600),
            stream_idle_timeout: Duration::from_secs(300),
            max_stream: Duration::from_secs(3600),
            usage_wait: Duration::from_millis(250),
            max_drains: 4096,
            budget_patience: Duration::from_secs(5),
            trusted_proxies: Vec::new(),
            google_token_url: GOOGLE_TOKEN_URL.to_owned(),
            cache_bytes: 64 * 1024 * 1024,
            cache_entry_bytes: 1024 * 1024,
        }
    }
}

/// What a gateway is made of.
pub struct Parts {
    /// Bounds.
    pub settings: Settings,
    /// What the node holds.
    pub config: Arc<Config>,
    /// Rates, slots, budgets.
    pub limiter: Limiter,
    /// The way out.
    pub upstreams: Upstreams,
    /// The journal.
    pub records: Arc<dyn Records>,
    /// The authority over epochs.
    pub authority: Arc<dyn Authority>,
    /// Opened secrets.
    pub vault: Arc<dyn Vault>,
    /// The way to ask the control plane.
    pub questions: Arc<dyn Questions>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// Source of 128 random bits.
    pub entropy: fn() -> u128,
    /// The process's metrics.
    pub metrics: Metrics,
    /// Whether the node is ready to serve, for `/readyz`.
    pub ready: Arc<AtomicBool>,
}

/// So many calls under way are likely to be ready together.
const CROWD: i64 = 8;

/// The request's path of one node. Make one, serve many connections with it.
pub struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) config: Arc<Config>,
    pub(crate) limiter: Limiter,
    pub(crate) upstreams: Upstreams,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) questions: Arc<dyn Questions>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: fn() -> u128,
    pub(crate) meters: Meters,
    pub(crate) gen_ai: Arc<GenAi>,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) health: Arc<Health>,
    /// Answers that may be given again.
    pub(crate) cache: Arc<ResponseCache>,
    /// Bytes of visible output that nine of ten answers stay below, once [`FEW`] were seen, and tokens that 19 of 20 do.
    pub(crate) typical: Typical,
    pub(crate) expected: Typical,
    pub(crate) waiting: Waiting,
    /// Callers are asked to connect elsewhere.
    pub(crate) leaving: CancellationToken,
    /// The same, for a look with each answer.
    pub(crate) closes: AtomicBool,
    /// Connections end after their running answers.
    pub(crate) stopping: CancellationToken,
    /// Running answers end with an error.
    pub(crate) cut: CancellationToken,
    /// Answers read on after their callers left; HTTP/2 streams.
    pub(crate) tasks: TaskTracker,
}

impl Gateway {
    /// Puts the parts together. Call it within a tokio runtime.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let meters = Meters::new(&parts.metrics, parts.limiter.clone());
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(sweep(parts.upstreams.clone(), stopping.clone()));
        let cache =
            Arc::new(ResponseCache::new(parts.settings.cache_bytes, parts.settings.cache_entry_bytes));
        meters.watch(&parts.metrics, cache.clone());
        tasks.spawn(cache::tend(cache.clone(), parts.config.clone(), stopping.clone()));
        let gen_ai = Arc::new(GenAi::new(parts.config.clone()));
        gen_ai.register(&parts.metrics);
        tasks.spawn(gen_ai.clone().run(stopping.clone()));
        let health = Arc::new(Health::default());
        let sharing = news::share(health.clone(), parts.limiter.clone(), parts.entropy, stopping.clone());
        tasks.spawn(sharing);
        Arc::new(Self {
            settings: parts.settings,
            config: parts.config,
            limiter: parts.limiter,
            upstreams: parts.upstreams,
            records: parts.records,
            authority: parts.authority,
            vault: parts.vault,
            questions: parts.questions,
            clock: parts.clock,
            entropy: parts.entropy,
            meters,
            gen_ai,
            ready: parts.ready,
            health,
            cache,
            typical: Typical::new(9, FEW),
            expected: Typical::new(19, 1),
            waiting: Waiting::default(),
            leaving: CancellationToken::new(),
            closes: AtomicBool::new(false),
            stopping,
            cut: CancellationToken::new(),
            tasks,
        })
    }

    /// Asks callers to connect elsewhere, and goes on serving: HTTP/1 connections close with their next
    /// answer, HTTP/2 ones take no new calls. `/readyz` says no from now on.
    pub fn leave(&self) {
        self.closes.store(true, Ordering::Relaxed);
        self.leaving.cancel();
    }

    /// Finishes: connections close after their running answers; those that still run after
    /// `timeout` end with an error event and are settled. Returns when all have ended, or
    /// five seconds after they were told to. Stop accepting before.
    pub async fn drain(&self, timeout: Duration) {
        self.leave();
        self.stopping.cancel();
        if tokio::time::timeout(timeout, self.quiet()).await.is_err() {
            self.cut.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(5), self.quiet()).await;
        }
    }

    /// Waits until nothing is under way: no call, no answer that is read on.
    async fn quiet(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        while self.meters.in_flight.get() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.tasks.wait().await;
    }

    /// Whether so many calls are under way that whoever is about to write should [`gather`] before.
    pub(crate) fn is_crowded(&self) -> bool {
        self.meters.in_flight.get() >= CROWD
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What signing a request needs.
    pub(crate) fn means(&self, now: Timestamp) -> Means<'_> {
        let google_token_url = &self.settings.google_token_url;
        Means { upstreams: &self.upstreams, google_token_url, now }
    }

    pub(crate) fn new_id<K: IdKind>(&self, now: Timestamp) -> Id<K> {
        Id::from_parts(u64::try_from(now.as_millis()).unwrap_or(0), (self.entropy)())
    }
}

/// Where many calls are under way, when all is done but the writing: lets those that are ready come as far.
/// Who writes to a process that sleeps pays for waking it; of writes in a row only the first. The turn comes
/// again behind what is ready now, before anybody looks for more.
pub(crate) async fn gather() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Closes connections to providers that nobody uses any more.
async fn sweep(upstreams: Upstreams, stopping: CancellationToken) {
    let pause = Duration::from_secs(5);
    while tokio::time::timeout(pause, stopping.cancelled()).await.is_err() {
        upstreams.sweep();
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}
