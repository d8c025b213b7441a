//! What happened: billing events (one attempt) and call records (one call).
//!
//! Ids, integers, enums and keyed hashes only: no free text can travel here.

mod call;
mod decision;
mod event;
mod gen_ai;
mod metered;
mod planned;

pub use call::{AttemptRecord, CallOutcome, CallRecord, Evidence, RefusalCause, Surface};
pub use decision::{AttemptDecision, Decision};
pub use event::{BillingEvent, CredentialType, EventKind, HeldBudget, Outcome, RecordKey};
pub use gen_ai::{gen_ai_operation, gen_ai_provider};
pub use metered::{MeterMethod, Usage};
pub use planned::{
    CallShare, FilterName, MOST_PLANNED, PlanRecord, PlannedCandidate, PlannedRole, RemovedCandidate,
    Standing,
};
