//! Configuration: from the feed or the disk into `tidegate-policy`, and what is said back.
//!
//! `client` speaks with the control plane, `apply` turns a delta into changes, `handle` is what
//! the node holds, `cache` keeps it on disk.

mod apply;
mod cache;
mod client;
mod contact;
mod floor;
mod fold;
mod foreign;
mod handle;
mod keeper;
mod told;

pub(crate) use client::{About, Client};
pub(crate) use handle::Handle;
pub(crate) use keeper::kept_pool_keys;
pub(crate) use told::{Told, told};
