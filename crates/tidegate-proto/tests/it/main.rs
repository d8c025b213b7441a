//! The wire's conversions: everything survives the way there and back; everything else is refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod frames;
mod recorded;
mod refusals;
mod resource_strategies;
mod round_trip;
mod usage_strategies;
