//! Whether a new version takes something away. A node that cannot apply such a version makes the
//! resource fail closed, so when in doubt the answer is yes.

use tidegate_types::ModelName;
use tidegate_types::resource::{
    Budget, Enforcement, HoldMode, KeyLimits, KeyStatus, Organization, Policy, VirtualKey,
};

use crate::problem::Problem;

/// Whether a limit was set or lowered.
fn lower(before: Option<u32>, after: Option<u32>) -> bool {
    match (before, after) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
    }
}

/// Whether a rate limit was set or lowered.
pub(crate) fn limits(before: &KeyLimits, after: &KeyLimits) -> bool {
    lower(before.requests_per_minute, after.requests_per_minute)
        || lower(before.tokens_per_minute, after.tokens_per_minute)
        || lower(before.concurrency, after.concurrency)
}

/// Whether an organization's rate limit, or that of one of its models, was set or lowered.
pub(crate) fn organization_limits(before: &Organization, after: &Organization) -> bool {
    let of = |organization: &Organization, model: &ModelName| {
        let own = organization.model_limits.iter().find(|own| own.model == *model);
        own.map(|own| own.limits).unwrap_or_default()
    };
    limits(&before.limits, &after.limits)
        || after.model_limits.iter().any(|own| limits(&of(before, &own.model), &own.limits))
}

/// Whether a key may do less, or for a shorter time.
pub(crate) fn key(before: &VirtualKey, after: &VirtualKey) -> bool {
    let stopped = after.status != KeyStatus::Active && after.status != before.status;
    let sooner = after.expires_at.is_some() && after.expires_at != before.expires_at;
    stopped || sooner || before.allow != after.allow || limits(&before.limits, &after.limits)
}

/// Every change of a policy but that of its name.
pub(crate) fn policy(before: &Policy, after: &Policy) -> bool {
    Policy { name: after.name.clone(), ..before.clone() } != *after
}

/// Whether a budget allows less.
pub(crate) fn budget(before: &Budget, after: &Budget) -> bool {
    after.limit < before.limit
        || (before.enforcement, after.enforcement) == (Enforcement::Soft, Enforcement::Hard)
        || (before.mode, after.mode) == (HoldMode::Expected, HoldMode::Strict)
        || (!before.count_byok && after.count_byok)
}

/// Refuses with 422 to change what is fixed when an object is made.
pub(crate) fn unchanged<T: PartialEq>(field: &str, before: &T, after: &T) -> Result<(), Problem> {
    if before == after { Ok(()) } else { Err(Problem::invalid(field, "cannot be changed once made")) }
}
