//! Keeps the public keys of the issuers that organizations trust: fetched from each issuer's discovery
//! document through the vetted connector, refreshed, and pushed to nodes as a change of configuration.
//!
//! Nodes never fetch: a token that names an unknown key is refused, and the control plane is told.
//! Every control plane does some of the work; a claim in the database keeps two from doing the same.

mod fetch;
mod keeper;
mod merge;

pub use keeper::{Settings, TrustKeeper};
