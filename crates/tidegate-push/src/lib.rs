//! The control plane's side of the wire: the feed, the fleet, the intake, budget epochs.
//!
//! Nodes are hostile: who they are is read from the certificate that TLS verified, everything they
//! say is checked and bounded, and garbage gets a status. This crate decides nothing about
//! requests; it moves what the store holds to the nodes and what they report into the store.

mod admission;
mod assemble;
mod budget;
mod certificate;
mod commands;
mod copy;
mod crowd;
mod digests;
mod enroll;
mod error;
mod feed;
mod fleet;
mod healing;
mod intake;
mod listen;
mod material;
mod metrics;
mod nodes;
mod peer;
mod prices;
mod query;
mod revocations;
mod seals;
mod server;
mod service;
mod session;
mod snapshot;
mod speak;
mod steps;
mod waves;
mod workload;

pub use commands::{CommandError, Commands, Tested};
pub use copy::CopySettings;
pub use error::PushError;
pub use material::{Material, prepare};
pub use metrics::{Dropped, PushMetrics};
pub use server::{PushServer, PushSettings};
pub use workload::{Allowed, NotVerified, Verified, Workload, WorkloadVerifier, Workloads};
