//! The data-plane node: identity, configuration from the feed, the journal and its shipping,
//! epochs, listeners, drain.
//!
//! Hands sockets to `tidegate-proxy`, which serves the calls; knows nothing of dialects,
//! prices or SQL.

pub mod journal;
