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
mod configuration;
mod control_planes;
mod credentials;
mod dev;
mod disaster;
mod drain;
mod evidence;
mod failover;
mod fleet;
mod fleet_health;
mod garbage;
mod issuers;
mod money;
mod node_killed;
mod observability;
mod outages;
mod pools;
mod questions;
mod reconcile;
mod rotation;
mod routing;
mod salvage;
mod service_accounts;
mod support;
mod waits;
