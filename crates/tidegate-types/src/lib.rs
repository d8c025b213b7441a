//! The words of Tidegate as types: identifiers, money, time, resources, billing events.
//!
//! Everything here is pure: no I/O, no clock, no randomness. Every other crate speaks
//! in these types; nothing in this crate knows about SQL, HTTP, Redis or protobuf.

pub mod audit;
pub mod clock;
pub mod id;
pub mod label;
pub mod money;
pub mod resource;
pub mod revision;
pub mod secret;
pub mod slug;
pub mod trace;
pub mod usage;
pub mod window;

pub use clock::{Clock, Timestamp};
pub use id::{
    BudgetId, CallId, CredentialId, EventId, Id, KeyId, MemberId, ModelId, NodeId, OfferingId,
    OrganizationId, PolicyId, PriceId, ProviderId, RouteId, ServiceTokenId, SessionId, TeamId, TrustRuleId,
};
pub use label::{LabelHash, LabelKind};
pub use money::{NanoUsd, PicoUsd};
pub use revision::{Digest, Position, Revision, Shard};
pub use secret::Secret;
pub use slug::{ModelName, ProviderSlug};
pub use trace::TraceParent;
