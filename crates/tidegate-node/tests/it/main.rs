//! The node as the control plane and the disk see it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod journal;
mod support;
