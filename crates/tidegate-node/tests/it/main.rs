//! The node as the control plane and the disk see it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod aftermath;
mod broken_line;
mod config;
mod control_plane;
mod copy;
mod cuts;
mod fleet;
#[path = "../../../tidegate-proto/tests/it/frames.rs"]
mod frames;
mod gateway;
mod guard;
mod journal;
mod keepers;
mod listener;
mod long_outage;
mod poisoned;
mod recorded;
mod revocations;
mod segments;
mod shipping;
mod staleness;
mod support;
