//! The plan of a call: which candidates may answer it, in which order, under which budgets.
//!
//! The stages: `resolve` the names, `effective` policy, matching `budgets`, `filter` each offering and
//! credential, `order` what is left, share calls (`sharing`), `eject` who ails. Nothing here knows of HTTP, Redis or time passing.

mod budgets;
mod caching;
mod candidates;
mod effective;
mod eject;
mod facts;
mod filter;
mod home;
mod listing;
mod measured;
mod nearest;
mod order;
mod outcome;
mod privacy;
mod record;
mod refusal;
mod request_credentials;
mod residency;
mod resolve;
mod sharing;
mod sign_in;
mod stages;
mod through;
mod wishes;

pub(crate) use caching::forbids_keeping;
pub use caching::{CacheUse, Caching};
pub use effective::EffectivePolicy;
pub use facts::CallFacts;
pub use filter::{Allower, Asker, Filter};
pub use listing::{ListedModel, Offer, models_for, public_models};
pub use measured::{Condition, Measured, Pause, Quota, Unmeasured, Vitals};
pub use outcome::{BudgetRef, Candidate, Plan, RateLimit, RateScope, Removed, Role};
pub use record::{record_of, record_of_refusal};
pub use refusal::{PlanRefusal, Why};
pub use request_credentials::RequestCredential;
pub use stages::plan;
pub use wishes::{Sort, Wishes};
