//! What is counted of the request's path. Bounded labels only: surface, status, mode.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use tidegate_limits::{Limiter, Mode, Passed, Stats};
use tidegate_telemetry::Metrics;
use tidegate_types::usage::Surface;

use crate::cache::{ResponseCache, Told};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    surface: &'static str,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    outcome: &'static str,
}

/// Meters of the request's path.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
    first_event: Histogram,
    pub(crate) in_flight: Gauge,
    attempts: Family<AttemptLabels, Counter>,
    pub(crate) bound_violations: Counter,
    pub(crate) drains: Gauge,
    cache: Family<CacheLabels, Counter>,
}

/// Seconds; from cache-like answers to long generations.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

impl Meters {
    pub(crate) fn new(metrics: &Metrics, limiter: Limiter) -> Self {
        let meters = Self {
            requests: Family::default(),
            duration: Histogram::new(BUCKETS),
            first_event: Histogram::new(BUCKETS),
            in_flight: Gauge::default(),
            attempts: Family::default(),
            bound_violations: Counter::default(),
            drains: Gauge::default(),
            cache: Family::default(),
        };
        let m = meters.clone();
        metrics.register(|r| {
            r.register("requests", "Calls by surface and status", m.requests);
            r.register("request_duration_seconds", "Time from head to end of answer", m.duration);
            r.register(
                "time_to_first_event_seconds",
                "Time from head to first event of the answer",
                m.first_event,
            );
            r.register("requests_in_flight", "Calls under way", m.in_flight);
            r.register("upstream_attempts", "Attempts at providers by outcome", m.attempts);
            r.register(
                "bound_violations",
                "Attempts that cost more than was held as their upper bound",
                m.bound_violations,
            );
            r.register("drains_in_flight", "Answers read to the end after their caller left", m.drains);
            r.register(
                "cache_lookups",
                "Calls that could be answered from the response cache, by result",
                m.cache,
            );
            r.register_collector(Box::new(LimiterState(limiter)));
        });
        meters
    }

    /// Tells of the response cache what only it knows.
    pub(crate) fn watch(&self, metrics: &Metrics, cache: Arc<ResponseCache>) {
        metrics.register(|r| r.register_collector(Box::new(CacheState(cache))));
    }

    /// What came of a look into the response cache.
    pub(crate) fn cache(&self, told: Told) {
        let result = match told {
            Told::Hit(_) => "hit",
            Told::Miss | Told::Bypass | Told::Nothing => "miss",
        };
        self.cache.get_or_create(&CacheLabels { result }).inc();
    }

    pub(crate) fn answered(&self, surface: Option<Surface>, status: u16, took: Duration) {
        let surface = match surface {
            Some(surface) => surface.as_str(),
            None => "other",
        };
        self.requests.get_or_create(&RequestLabels { surface, status: u32::from(status) }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn first_event(&self, after: Duration) {
        self.first_event.observe(after.as_secs_f64());
    }

    pub(crate) fn attempt(&self, outcome: &'static str) {
        self.attempts.get_or_create(&AttemptLabels { outcome }).inc();
    }
}

/// The response cache's state, read when the metrics are.
#[derive(Debug)]
struct CacheState(Arc<ResponseCache>);

impl Collector for CacheState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stock = self.0.stock();
        gauges(
            &mut encoder,
            [
                ("cache_answers", "Answers in the response cache", stock.answers),
                ("cache_bytes", "Bytes that they take", stock.bytes),
            ],
        )?;
        counters(
            &mut encoder,
            [
                ("cache_expired", "Kept answers that went with their time", stock.expired),
                ("cache_evicted", "Kept answers that went for want of room", stock.full),
                ("cache_purged", "Kept answers that were purged or may not be kept any more", stock.purged),
            ],
        )
    }
}

/// Figures that are read when the metrics are.
fn gauges<const N: usize, T: TryInto<i64>>(
    encoder: &mut DescriptorEncoder<'_>,
    all: [(&str, &str, T); N],
) -> Result<(), std::fmt::Error> {
    for (name, help, value) in all {
        let gauge = ConstGauge::new(value.try_into().unwrap_or(i64::MAX));
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
    }
    Ok(())
}

/// Counts that are read when the metrics are.
fn counters<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    all: [(&str, &str, u64); N],
) -> Result<(), std::fmt::Error> {
    for (name, help, count) in all {
        let counter = ConstCounter::new(count);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
    }
    Ok(())
}

/// The limiter's state, read when the metrics are.
struct LimiterState(Limiter);

impl std::fmt::Debug for LimiterState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LimiterState")
    }
}

impl Collector for LimiterState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (mode, stats) = (self.0.mode(), self.0.stats());
        gauges(
            &mut encoder,
            [
                (
                    "limiter_away",
                    "1 while the counter store, or a part of it, cannot be asked",
                    usize::from(matches!(mode, Mode::Away | Mode::Partly)),
                ),
                (
                    "limiter_primaries",
                    "Servers that are to count: 1, or the primaries of a cluster",
                    stats.primaries,
                ),
                ("limiter_primaries_away", "Those of them that cannot be asked", stats.primaries_away),
                (
                    "limiter_slots_unserved",
                    "Slots of a Redis Cluster that no known server has",
                    stats.slots_unserved,
                ),
                ("limiter_queued", "Settlements and releases not yet through", stats.queued),
                ("limiter_waiting", "Settlements waiting for an epoch", stats.waiting),
            ],
        )?;
        let help = "Decisions not made because their keys were on another server of a Redis Cluster, or on their way there";
        counters(&mut encoder, [("limiter_moved", help, stats.moved)])?;
        encode_passed(&mut encoder, stats.passed)?;
        encode_grants(&mut encoder, &stats)
    }
}

fn encode_passed(encoder: &mut DescriptorEncoder<'_>, passed: Passed) -> Result<(), std::fmt::Error> {
    let help =
        "Calls with limits or budgets that passed, by who decided: grants (nobody was asked), store, share";
    let mut family = encoder.encode_descriptor("limiter_passed", help, None, MetricType::Counter)?;
    for (by, count) in [("grants", passed.by_grants), ("store", passed.by_store), ("share", passed.by_share)]
    {
        ConstCounter::new(count).encode(family.encode_family(&[("by", by)])?)?;
    }
    Ok(())
}

/// What this node has in advance, and what it did to get and to give it back.
fn encode_grants(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> Result<(), std::fmt::Error> {
    #[expect(clippy::cast_precision_loss, reason = "a gauge for people; no decision is made by it")]
    let usd = ConstGauge::new(stats.granted_free as f64 / 1e9);
    let help = "Money of budgets that this node has in advance and does not hold";
    usd.encode(encoder.encode_descriptor("grants_usd", help, None, usd.metric_type())?)?;
    gauges(
        encoder,
        [
            ("grants_requests", "Requests of rate limits that this node has in advance", stats.requests_free),
            ("grants_tokens", "Tokens of rate limits that this node has in advance", stats.tokens_free),
            ("grants_slots", "Slots that this node has in advance and no call is in", stats.slots_free),
        ],
    )?;
    counters(
        encoder,
        [
            (
                "grants_exchanges",
                "Trips to the counter store that told what was used and took more",
                stats.exchanges,
            ),
            (
                "grants_recalls",
                "Budgets' windows of which another node missed what this one had",
                stats.recalls,
            ),
            (
                "grants_reclaimed",
                "Grants of this node's dead processes that its start gave back",
                stats.reclaimed,
            ),
        ],
    )
}
