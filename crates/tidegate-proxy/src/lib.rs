//! The request's path: authenticate, read the call, plan, admit, call with failover, relay.
//!
//! Read `serve.rs` first: it is the whole way in one screen. This crate knows no disk, no
//! control plane and no SQL; what it needs of the node is in `edges.rs`.

mod edges;

pub use edges::{Authority, JournalFull, Record, Records, Unavailable, Vault};
pub use tidegate_upstream::SignIn;
