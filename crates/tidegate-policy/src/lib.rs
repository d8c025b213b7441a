//! What a node holds, and what it decides with it: the compiled configuration and the plan of a call.
//!
//! Pure: no I/O, no clock, no randomness. A [`Config`] takes changes and answers [`View`]s, one per
//! request; [`plan`] turns a view and a call's facts into ordered candidates. The control plane
//! judges resources with the same code before it stores them ([`compile_check`]).

// Tests within share their fixtures with those outside.
#[cfg(test)]
extern crate self as tidegate_policy;

mod allow;
mod apply;
mod calendar;
mod catalogue;
mod check;
mod compiled;
mod config;
mod held;
mod incoming;
mod intern;
mod key_index;
mod plan;
mod planted;
mod reason;
mod revoked;
mod snapshot;
mod trust;
mod view;

pub use catalogue::Catalogue;
pub use check::compile_check;
pub use compiled::{Budget, Handling, KeyRecord, Offering, Organization, Policy, Route, Use, Vouched};
pub use config::{Config, Counts};
pub use incoming::{Applied, Body, Incoming, Part, Rejected, Revocation};
pub use plan::{
    Allower, Asker, BudgetRef, CacheUse, Caching, CallFacts, Candidate, Condition, EffectivePolicy, Filter,
    ListedModel, Measured, Offer, Pause, Plan, PlanRefusal, Quota, RateLimit, RateScope, Removed,
    RequestCredential, Role, Sort, Unmeasured, Vitals, Why, Wishes, models_for, plan, public_models,
    record_of, record_of_refusal,
};
pub use reason::Reason;
pub use snapshot::OrgSnapshot;
pub use view::{KeyRefusal, View};
