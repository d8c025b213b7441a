//! The push plane as nodes meet it: a real database, real TLS, a fake node.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod backlog;
mod certificate;
mod copies;
mod door;
mod enrolment;
mod epochs;
mod fake_node;
mod feed;
mod fleet;
#[path = "../../../tidegate-proto/tests/it/frames.rs"]
mod frames;
mod grants;
mod herd;
mod hostile;
mod material;
mod outage;
mod plane;
mod pools;
mod recorded;
mod releases;
mod revocations;
mod rotations;
mod samples;
mod usage;
mod waves;
mod workloads;
