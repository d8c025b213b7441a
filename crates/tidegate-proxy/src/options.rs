//! What the caller asked of the gateway itself, applied to the plan: `only` and `order`.

use tidegate_dialect::read::GatewayOptions;
use tidegate_policy::Plan;
use tidegate_types::usage::RefusalCause;

use crate::refusal::{Refusal, Refused};

/// Leaves the providers that the caller wants, in the caller's order. Options that would change
/// who pays are refused while they cannot be had; mere preferences that are not known are not.
pub(crate) fn apply(options: &GatewayOptions, plan: &mut Plan) -> Result<(), Refused> {
    if options.byok {
        let message = "credentials in requests are not taken; store them as credentials of the organization";
        let param = "providerOptions.gateway.byok";
        return Err(Refusal::new(RefusalCause::BadRequest, message).code("byok_not_supported").param(param));
    }
    if !options.only.is_empty() {
        plan.candidates.retain(|candidate| names(&options.only, candidate.provider.slug.as_str()).is_some());
        if plan.candidates.is_empty() {
            let message = "none of the providers in `only` can serve this call";
            return Err(Refusal::new(RefusalCause::NoProvider, message).param("providerOptions.gateway.only"));
        }
    }
    if !options.order.is_empty() {
        let place = |slug: &str| names(&options.order, slug).unwrap_or(usize::MAX);
        plan.candidates.sort_by_key(|candidate| place(candidate.provider.slug.as_str()));
    }
    Ok(())
}

fn names(list: &[String], slug: &str) -> Option<usize> {
    list.iter().position(|name| name == slug)
}
