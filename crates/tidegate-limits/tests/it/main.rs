//! The limiter through its public face, over memory and over a real Redis.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod amounts;
mod checked;
mod cluster;
mod cluster_failover;
mod cluster_moves;
mod earlier;
mod epochs;
mod faults;
mod grants;
mod hot_keys;
mod left;
mod lost_counters;
mod memory_used;
mod model;
mod rate_grants;
mod rates;
mod reach;
mod reclaim;
mod releases;
mod rooms;
mod semantics;
mod sentinel;
mod shared_budget;
mod support;
mod two_primaries;
