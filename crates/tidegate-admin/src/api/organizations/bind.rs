//! Which issuers' tokens are an organization's callers by the operator's word: what stands in the way of that.

use tidegate_store::{Change, organizations};
use tidegate_types::resource::{BoundIssuer, Organization};

use crate::problem::Problem;

/// Issuers of which `after` holds less than `before`.
pub(super) fn unbinds(before: &Organization, after: &Organization) -> bool {
    before.bound_issuers.iter().any(|bound| !after.bound_issuers.contains(bound))
}

/// Refuses issuers that are bound to another organization. Only platform administrators come here.
pub(super) async fn refuse_taken(change: &mut Change, asked: &[BoundIssuer]) -> Result<(), Problem> {
    for bound in asked {
        if let Some(holder) = organizations::holder_of(change, bound).await? {
            let detail = format!(
                "Tokens of {} for such an audience are bound to {holder}. Take that away first.",
                bound.issuer
            );
            return Err(Problem::conflict("issuer_taken", detail)
                .with("bound_issuers", "names an issuer of another organization"));
        }
    }
    Ok(())
}
