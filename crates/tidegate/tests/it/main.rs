//! The real executable as separate processes, on real Postgres and Redis: the main job end to end.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod budget;
mod canary;
mod changes;
mod chaos;
mod cluster;
mod cluster_coverage;
mod configuration;
mod control_planes;
mod copy;
mod credential_sharing;
mod credentials;
mod degradation;
mod dev;
mod disaster;
mod doctor;
mod drain;
mod evidence;
mod failover;
mod fair_shares;
mod fleet;
mod fleet_health;
mod garbage;
mod granted;
mod histories;
mod issuers;
mod lateness;
mod later;
mod left_holds;
mod money;
mod monitoring;
mod node_killed;
mod observability;
mod own_money;
mod pools;
mod questions;
mod reconcile;
mod recording;
mod releases;
mod rerate;
mod resealing;
mod residency;
mod response_cache;
mod revocations;
mod rolling;
mod rotation;
mod routing;
mod salvage;
mod sentinel;
mod service_accounts;
mod steps;
mod support;
mod units;
mod waits;
mod waves;
