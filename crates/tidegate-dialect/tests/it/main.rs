//! The dialect crate through its public face.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bounds;
mod captures;
mod errors;
mod json;
mod passthrough;
mod reading;
mod split;
mod sse;
mod streams;
mod support;
mod translation;
