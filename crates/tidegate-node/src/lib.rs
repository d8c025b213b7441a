//! The data-plane node: identity, configuration from the feed, the journal and its shipping,
//! epochs, listeners, drain.
//!
//! Hands sockets to `tidegate-proxy`, which serves the calls; knows nothing of dialects,
//! prices or SQL. Read `node.rs` first: it puts everything together.

mod aftermath;
mod ask;
mod backoff;
mod certificate;
mod copy;
mod error;
mod grants;
mod identity;
pub mod journal;
mod left_grants;
mod link;
mod listen;
mod node;
mod notary;
mod observe;
mod opener;
mod outage;
mod pulse;
mod records;
mod report;
mod revocations;
mod running;
mod salvage;
mod settings;
mod ship;
mod state;
mod sync;
mod vault;
mod wanted;
mod whole;

pub use certificate::{CertificateFiles, GatewayTls};
pub use copy::CopySource;
pub use error::NodeError;
pub use identity::{Enrolling, held_in};
pub use link::ControlPlane;
pub use node::Node;
pub use running::RunningNode;
pub use salvage::{Salvage, Salvaged};
pub use settings::{Edges, MakeGateway, NodeSettings, Probe, SHIP_AT_END, See, Seen, ServiceAccount, TRIAL};
