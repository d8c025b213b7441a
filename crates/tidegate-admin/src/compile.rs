//! The control plane compiles a resource with the nodes' own code before it stores it.

use tidegate_policy::compile_check;
use tidegate_store::{Change, StoreError, keys, resources};
use tidegate_types::KeyId;
use tidegate_types::resource::{PolicyScope, Resource, ResourceKind};

use crate::problem::Problem;

/// Kinds that others refer to. Keys are not among them: there may be a million, and a candidate
/// that names one has it looked up.
const NAMED: [ResourceKind; 7] = [
    ResourceKind::Organization,
    ResourceKind::Team,
    ResourceKind::Policy,
    ResourceKind::Provider,
    ResourceKind::Model,
    ResourceKind::Offering,
    ResourceKind::Route,
];

/// Refuses with 422 what nodes would reject, or what names something that does not exist.
pub(crate) async fn check(change: &mut Change, candidate: &Resource) -> Result<(), Problem> {
    let mut existing = resources(change, &NAMED).await?;
    if let Some(key) = named_key(candidate) {
        match keys::get(change, key).await {
            Ok(stored) => existing.push(Resource::Key(stored.value)),
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    judge(&existing, candidate)
}

/// Refuses with 422 what nodes would reject beside `existing`.
pub(crate) fn judge(existing: &[Resource], candidate: &Resource) -> Result<(), Problem> {
    let Err(reasons) = compile_check(existing, candidate) else { return Ok(()) };
    let refusal = Problem::unprocessable("does_not_compile", "Nodes would reject this; nothing was stored.");
    Err(reasons.into_iter().fold(refusal, |problem, reason| problem.with(reason.field, reason.message)))
}

fn named_key(candidate: &Resource) -> Option<KeyId> {
    match candidate {
        Resource::Policy(policy) => match policy.scope {
            PolicyScope::Key { key_id } => Some(key_id),
            PolicyScope::Organization | PolicyScope::Team { .. } => None,
        },
        Resource::Budget(budget) => budget.scope.key,
        Resource::TrustRule(rule) => Some(rule.key_id),
        _ => None,
    }
}
