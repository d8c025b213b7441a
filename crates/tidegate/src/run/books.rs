//! What the control plane's metrics say of the books: read from the database every now and then.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tidegate_store::{Store, upkeep};
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;
use tidegate_telemetry::{Metrics, SystemClock};
use tidegate_types::clock::Clock as _;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

/// Between two readings.
const EVERY: Duration = Duration::from_secs(15);

/// Gauges of the whole installation: every control plane says the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    open: Gauge<i64, AtomicI64>,
    unresolved: Gauge<i64, AtomicI64>,
    differences: Gauge<i64, AtomicI64>,
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
        });
        books
    }

    /// Reads until `stop`; what cannot be read stays as it was.
    pub(crate) async fn follow(self, store: Store, stop: CancellationToken) {
        let mut ticks = interval(EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match upkeep::loose(&store, SystemClock.now()).await {
                Ok(loose) => {
                    self.open.set(loose.open);
                    self.unresolved.set(loose.unresolved);
                    self.differences.set(loose.differences);
                }
                Err(error) => tracing::debug!(%error, "the books cannot be read for the metrics"),
            }
        }
    }
}
