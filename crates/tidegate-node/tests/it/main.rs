//! The node as the control plane and the disk see it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod aftermath;
mod config;
mod control_plane;
mod fleet;
mod gateway;
mod journal;
mod listener;
mod long_outage;
mod shipping;
mod staleness;
mod support;
