//! The store's promises, kept by the real logins on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "tests")]

mod audit;
mod calls;
mod changes;
mod copies;
mod credits;
mod epochs;
mod failures;
mod fixture;
mod fleet;
mod histories;
mod intake;
mod isolation;
mod later;
mod logins;
mod missing;
mod notices;
mod people;
mod reconcile;
mod rerate;
mod resources;
mod rotations;
mod samples;
mod steps;
mod survey;
mod upkeep;
mod usage;
mod waves;
