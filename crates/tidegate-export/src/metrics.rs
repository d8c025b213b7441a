//! What the exporter counts, of all organizations together.

use std::sync::atomic::AtomicI64;

use tidegate_telemetry::Metrics;
use tidegate_telemetry::prometheus_client::metrics::counter::Counter;
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;

/// Counters of the exporter. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ExportMetrics {
    /// Calls whose traces a collector took.
    pub sent: Counter,
    /// Calls whose traces were given up on the way.
    pub dropped: Counter,
    /// Attempts that failed and are repeated.
    pub retried: Counter,
    /// Calls that wait, of every control plane together.
    pub waiting: Gauge<i64, AtomicI64>,
}

impl ExportMetrics {
    /// Registers the counters.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register("export_calls_sent", "Calls whose traces a collector took", self.sent.clone());
            registry.register(
                "export_calls_dropped",
                "Calls whose traces were given up",
                self.dropped.clone(),
            );
            registry.register("export_retries", "Posts of traces that are repeated", self.retried.clone());
            registry.register("export_calls_waiting", "Calls whose traces wait", self.waiting.clone());
        });
    }
}
