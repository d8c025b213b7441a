//! Configuration: from the feed or the disk into `tidegate-policy`, and what is said back.
//!
//! `client` speaks with the control plane, `apply` turns a delta into changes, `handle` is what
//! the node holds, `cache` keeps it on disk. `trial` guards starts against configuration that kills the node, `withheld`
//! is what of it is not applied.

mod apply;
mod cache;
mod client;
mod contact;
mod floor;
mod fold;
mod foreign;
mod handle;
mod keeper;
mod load;
mod seed;
mod told;
mod trial;
mod withheld;

pub(crate) use client::{About, Client};
pub(crate) use handle::{Begin, Handle};
pub(crate) use keeper::kept_pool_keys;
pub(crate) use seed::Seed;
pub(crate) use told::{Tells, Told, told};
