//! The configuration and the plan through the crate's public face.
#![expect(clippy::unwrap_used, reason = "tests")]

mod apply;
mod budgets;
mod caching;
mod calendar;
mod check;
mod deltas;
mod eject;
mod fixtures;
mod keys;
mod listing;
mod naive;
mod policies;
mod privacy;
mod residency;
mod residency_cases;
mod resolve;
mod retention;
mod routes;
mod sharing;
mod tenancy;
mod wishes;
