//! The request's path, tried through its port against scripted providers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod client;
mod plain;
mod provider;
mod streams;
mod world;
