//! What the control plane's metrics say of the books, the fleet and its background jobs: read from the database every now and then.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tidegate_store::{Store, upkeep};
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;
use tidegate_telemetry::{Metrics, SystemClock};
use tidegate_types::clock::Clock as _;
use tokio::sync::watch::Receiver;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

/// Between two readings.
const EVERY: Duration = Duration::from_secs(15);

/// Gauges of the whole installation: every control plane says the same, but for what only the one that does the jobs knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    open: Gauge<i64, AtomicI64>,
    unresolved: Gauge<i64, AtomicI64>,
    differences: Gauge<i64, AtomicI64>,
    passed_over: Gauge<i64, AtomicI64>,
    nodes_away: Gauge<i64, AtomicI64>,
}

impl Books {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let books = Self::default();
        let b = books.clone();
        metrics.register(|registry| {
            registry.register("attempts_open", "Attempts for which money is held", b.open);
            registry.register("attempts_unresolved", "Attempts whose end is not known", b.unresolved);
            registry.register(
                "reconciliation_differences",
                "Differences from providers' bills told in the last day",
                b.differences,
            );
            registry.register(
                "organizations_passed_over",
                "Organizations whose counts or allowances wait: a later release wrote something of theirs, or it is damaged",
                b.passed_over,
            );
            registry.register(
                "nodes_away",
                "Nodes that fell silent in the last day and had not ended as told",
                b.nodes_away,
            );
        });
        books
    }

    /// Reads until `stop`; what cannot be read stays as it was.
    pub(crate) async fn follow(self, store: Store, passed_over: Receiver<usize>, stop: CancellationToken) {
        let mut ticks = interval(EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.passed_over.set(i64::try_from(*passed_over.borrow()).unwrap_or(i64::MAX));
            match upkeep::loose(&store, SystemClock.now()).await {
                Ok(loose) => {
                    self.open.set(loose.open);
                    self.unresolved.set(loose.unresolved);
                    self.differences.set(loose.differences);
                    self.nodes_away.set(loose.nodes_away);
                }
                Err(error) => tracing::debug!(%error, "the books cannot be read for the metrics"),
            }
        }
    }
}
