//! What the control plane does by itself: gives up attempts of nodes that stay away, publishes
//! how many nodes a pool has, makes partitions ahead, clears what has expired.
//!
//! Of several control planes one does it. Every duty may be done twice or late without harm;
//! what a duty does is in `tidegate_store::upkeep`, when it is due is here.

mod duty;
mod passed_over;
mod treasury;

pub use treasury::{Settings, Treasury};
