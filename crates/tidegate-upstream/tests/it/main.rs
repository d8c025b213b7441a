//! The way out, tried against servers on loopback.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod addresses;
mod egress;
mod exchange;
mod google;
mod peer;
mod service;
mod sign_in;
mod ssrf;
mod tls;
