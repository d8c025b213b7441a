//! What the push plane counts.

use std::sync::atomic::AtomicI64;

use tidegate_telemetry::Metrics;
use tidegate_telemetry::prometheus_client::metrics::counter::Counter;
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;

/// Counters of the push plane. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PushMetrics {
    /// Config streams that are open.
    pub sessions: Gauge<i64, AtomicI64>,
    /// Nodes that were enrolled.
    pub enrolled: Counter,
    /// Snapshots of a shard sent because a node had nothing of it, or nothing usable.
    pub snapshots: Counter,
    /// Deltas sent.
    pub deltas: Counter,
    /// Digests of nodes compared with the store's.
    pub compared: Counter,
    /// Shards sent anew because a node's digest differed.
    pub heals: Counter,
    /// Stored resources that could not be read, and were left out.
    pub unreadable: Counter,
    /// Journal records stored.
    pub records: Counter,
    /// Journal records that were stored before.
    pub duplicates: Counter,
    /// Final events whose cost differs from what the node computed.
    pub cost_disagreements: Counter,
    /// Journal records that were acknowledged once and are lost.
    pub missing: Counter,
    /// Messages of nodes that were refused as malformed.
    pub malformed: Counter,
}

impl PushMetrics {
    /// Registers the counters.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register("push_sessions", "Open config streams", self.sessions.clone());
            registry.register("push_enrolled", "Nodes enrolled", self.enrolled.clone());
            registry.register("push_snapshots", "Shards sent whole", self.snapshots.clone());
            registry.register("push_deltas", "Deltas sent", self.deltas.clone());
            registry.register("push_compared", "Digests of nodes compared", self.compared.clone());
            registry.register("push_heals", "Shards healed after a digest mismatch", self.heals.clone());
            registry.register(
                "push_unreadable",
                "Stored resources left out as unreadable",
                self.unreadable.clone(),
            );
            registry.register("intake_records", "Journal records stored", self.records.clone());
            registry.register("intake_duplicates", "Journal records stored before", self.duplicates.clone());
            registry.register(
                "intake_missing_records",
                "Journal records acknowledged once and lost",
                self.missing.clone(),
            );
            registry.register(
                "intake_cost_disagreements",
                "Final events whose cost differs from the node's",
                self.cost_disagreements.clone(),
            );
            registry.register("push_malformed", "Malformed messages of nodes", self.malformed.clone());
        });
    }
}
