//! Brings notices to webhooks: signed as Standard Webhooks says, through the vetted connector,
//! tried again with growing pauses.
//!
//! Every control plane brings some; a claim in the database keeps two from bringing the same one at
//! once. At least once: the receiver knows a repetition by its `webhook-id`. Knows nothing of what a
//! notice means.

mod keys;
mod notifier;
mod schedule;
mod send;
pub mod sign;

pub use notifier::{Notifier, Settings};
