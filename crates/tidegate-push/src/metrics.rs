//! What the push plane counts.

use std::sync::atomic::AtomicI64;

use tidegate_telemetry::Metrics;
use tidegate_telemetry::prometheus_client::metrics::counter::Counter;
use tidegate_telemetry::prometheus_client::metrics::family::Family;
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;

/// Counters of the push plane. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PushMetrics {
    /// Config streams that are open.
    pub sessions: Gauge<i64, AtomicI64>,
    /// For how long (seconds) a connected node has not acknowledged a revocation; 0: all have all.
    pub revocations_unacknowledged: Gauge<i64, AtomicI64>,
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
    /// Shards that came whole under new numbers, since somebody held changes that the database has not.
    pub renewals: Counter,
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
    /// 1 while a change of the catalogue was halted on its way to the nodes.
    pub wave_halted: Gauge<i64, AtomicI64>,
    /// Age (seconds) of the oldest of the pools' newest copies; 0 where none are published.
    pub copy_age: Gauge<i64, AtomicI64>,
    connections_dropped: Family<[(&'static str, &'static str); 1], Counter>,
}

/// Why a connection was dropped before its handshake was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Its address has as many as one may have.
    AddressFull,
    /// There are as many as there may be, and no address has more than its own.
    Full,
    /// Another address, that had fewer, has its place.
    Displaced,
    /// It took too long.
    Late,
    /// Its first message is longer than any node's.
    TooLong,
    /// What came first is no TLS.
    Malformed,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::AddressFull, Self::Full, Self::Displaced, Self::Late, Self::TooLong, Self::Malformed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::AddressFull => "address_full",
            Self::Full => "full",
            Self::Displaced => "displaced",
            Self::Late => "late",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
        }
    }
}

impl PushMetrics {
    /// Connections that were dropped for this.
    #[must_use]
    pub fn connections_dropped(&self, why: Dropped) -> u64 {
        self.of(why).get()
    }

    pub(crate) fn dropped(&self, why: Dropped) {
        self.of(why).inc();
    }

    fn of(&self, why: Dropped) -> Counter {
        self.connections_dropped.get_or_create_owned(&[("reason", why.as_str())])
    }

    /// Registers the counters.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register("push_sessions", "Open config streams", self.sessions.clone());
            registry.register(
                "revocations_unacknowledged_seconds",
                "Time for which a node that is connected here has not acknowledged the revocation of a key",
                self.revocations_unacknowledged.clone(),
            );
            registry.register("push_enrolled", "Nodes enrolled", self.enrolled.clone());
            registry.register("push_snapshots", "Shards sent whole", self.snapshots.clone());
            registry.register("push_deltas", "Deltas sent", self.deltas.clone());
            registry.register("push_compared", "Digests of nodes compared", self.compared.clone());
            registry.register("push_heals", "Shards healed after a digest mismatch", self.heals.clone());
            registry.register(
                "push_renewals",
                "Shards renewed because changes were known that the database has not",
                self.renewals.clone(),
            );
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
            registry.register(
                "push_wave_halted",
                "1 while a change of the catalogue was halted on its way to the nodes",
                self.wave_halted.clone(),
            );
            registry.register(
                "copy_age_seconds",
                "Age of the newest published copy of the configuration, of the pool where it is the oldest; 0 where none are published",
                self.copy_age.clone(),
            );
            registry.register("push_malformed", "Malformed messages of nodes", self.malformed.clone());
            registry.register(
                "push_connections_dropped",
                "Connections of nodes dropped before their handshake was done, by reason",
                self.connections_dropped.clone(),
            );
        });
        // All are there from the start: an increase from nothing is none.
        for why in Dropped::ALL {
            self.of(why);
        }
    }
}
