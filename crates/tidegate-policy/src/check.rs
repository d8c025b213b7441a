//! Judging a resource before it is stored: what a node would reject, and what would make no sense
//! beside what exists. The same code as on the node, plus references.

mod references;

use tidegate_types::resource::{
    BudgetEpoch, Credential, Model, PoolState, Provider, Resource, Team, TrustRule,
};

use crate::compiled::{self, KeyRecord, Piece};
use crate::reason::Reason;

/// Whether `candidate` may be stored beside `existing`: the organization's resources and the
/// system's. Keys may be left out as far as the candidate does not name them. An older version of
/// the candidate among them is ignored. Uniqueness of names is the store's to keep.
///
/// # Errors
/// Every [`Reason`] against it.
pub fn compile_check(existing: &[Resource], candidate: &Resource) -> Result<(), Vec<Reason>> {
    let mut faults = alone(candidate);
    faults.extend(crate::apply::wrong_owner(&candidate.key()));
    references::check(existing, candidate, &mut faults);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// What a node would say.
fn alone(candidate: &Resource) -> Vec<Reason> {
    match candidate {
        Resource::Organization(source) => compiled::Organization::faults(source),
        Resource::Team(source) => <Team as Piece>::faults(source),
        Resource::Key(source) => KeyRecord::faults(source),
        Resource::Credential(source) => <Credential as Piece>::faults(source),
        Resource::Provider(source) => <Provider as Piece>::faults(source),
        Resource::Model(source) => <Model as Piece>::faults(source),
        Resource::Offering(source) => compiled::Offering::faults(source),
        Resource::Route(source) => compiled::Route::faults(source),
        Resource::Policy(source) => compiled::Policy::faults(source),
        Resource::Budget(source) => compiled::Budget::faults(source),
        Resource::BudgetEpoch(source) => <BudgetEpoch as Piece>::faults(source),
        Resource::Pool(source) => <PoolState as Piece>::faults(source),
        Resource::TrustRule(source) => <TrustRule as Piece>::faults(source),
    }
}
