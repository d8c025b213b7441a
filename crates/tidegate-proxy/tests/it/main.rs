//! The request's path, tried through its port against scripted providers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod aborts;
mod answers;
mod away;
mod bounds;
mod budgets;
mod byok;
mod cache;
mod cache_rules;
mod client;
mod disconnects;
mod drain;
mod failover;
mod form;
mod further;
mod guards;
mod http2;
mod known_limits;
mod limits;
mod listing;
mod logprobs;
mod matrix;
mod matrix_dialects;
mod near_the_limit;
mod notes;
mod options;
mod payers;
mod plain;
mod plans;
mod provider;
mod refusals;
mod residency;
mod retention;
mod retention_matrix;
mod searches;
mod sign_in;
mod stage;
mod staged;
mod steps;
mod stored;
mod streams;
mod tasks;
mod trial;
mod video;
mod wishes;
mod world;
