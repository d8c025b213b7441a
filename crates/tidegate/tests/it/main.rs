//! The real executable as separate processes, on real Postgres and Redis: the main job end to end.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod fleet;
mod support;
