//! The only crate that knows SQL: concrete functions on transactions bound to an actor.
//!
//! Reads take a [`TenantTx`], writes take a [`Change`], which has no commit without an audit
//! entry and a revision. What nodes ship and read crosses organizations and goes through the
//! second login ([`feed`], [`intake`], [`fleet`]). Nothing here knows HTTP, protobuf or Redis.

pub mod actor;
pub mod change;
mod connect;
mod convert;
mod counts;
mod document;
mod error;
mod later;
mod provision;
pub mod tenant;

pub mod budgets;
pub mod credentials;
pub mod keys;
pub mod labels;
pub mod models;
pub mod offerings;
pub mod organizations;
pub mod policies;
pub mod providers;
mod round;
pub mod routes;
pub mod teams;
pub mod trust_rules;

pub mod audit;
pub mod idempotency;
pub mod members;
pub mod person_ties;
pub mod persons;
pub mod service_tokens;
pub mod sign_in;
pub mod wrapped;

pub mod calls;
pub mod copies;
pub mod credits;
pub mod decisions;
pub mod epochs;
pub mod exporters;
pub mod failures;
pub mod feed;
pub mod fleet;
pub mod intake;
pub mod join_tokens;
pub mod key_rotations;
pub mod ledger;
pub mod missing;
pub mod notices;
pub mod placement;
pub mod reconcile;
pub mod reports;
pub mod rerate;
pub mod reserves;
pub mod root_keys;
pub mod survey;
pub mod upkeep;
pub mod usage;
pub mod uses;
pub mod watch;
pub mod waves;
pub mod webhooks;

#[cfg(feature = "testing")]
pub mod testing;

pub use actor::{Actor, PersonId, PlatformRole, Role, SystemActor, Who};
pub use change::{AuditNote, Change, Committed};
pub use connect::{Store, migrate};
pub use document::{Page, Stored, resources};
pub use error::StoreError;
pub use provision::{Logins, grant, provision};
pub use round::Round;
pub use tenant::TenantTx;

/// Results of this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
