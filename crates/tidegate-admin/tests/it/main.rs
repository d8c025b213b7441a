//! The management API through its router, on a real Postgres with the real logins.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod audit;
mod cache;
mod catalogue;
mod concurrency;
mod credentials;
mod explain;
mod exporters;
mod fleet;
mod garbage;
mod harness;
mod idempotency;
mod installation;
mod isolation;
mod keys;
mod money;
mod openapi;
mod people;
mod platform;
mod pools;
mod preconditions;
mod residency;
mod resources;
mod roles;
mod secrecy;
mod sessions;
mod trials;
mod trust_rules;
mod usage;
mod webhooks;
mod writes;
