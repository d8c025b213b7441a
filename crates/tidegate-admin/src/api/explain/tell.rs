//! A plan, or why there is none, as the answer shows it.

use serde::Serialize;
use tidegate_policy::{Plan, PlanRefusal, Removed};
use tidegate_types::resource::{Areas, ZdrTier};
use tidegate_types::usage::{CredentialType, RefusalCause};
use tidegate_types::{CredentialId, NanoUsd};
use utoipa::ToSchema;

/// What would happen to the call.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Explained {
    /// The route that was asked for.
    route: Option<String>,
    /// Who would be asked, in this order; empty when the call would be refused.
    candidates: Vec<ExplainedCandidate>,
    /// Who would not be asked, and why.
    removed: Vec<ExplainedRemoval>,
    /// Most attempts.
    max_attempts: Option<u8>,
    /// The data handling that is demanded.
    #[schema(value_type = Option<String>)]
    zdr: Option<ZdrTier>,
    /// The areas in which it may be processed; absent: anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    inference_regions: Option<Areas>,
    /// Why the call would be refused.
    refusal: Option<ExplainedRefusal>,
}

/// Somebody who would be asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedCandidate {
    /// The model.
    model: String,
    /// The provider.
    provider: String,
    /// What the provider calls the model.
    upstream_name: String,
    /// With which credential; absent where none is needed.
    #[schema(value_type = Option<String>)]
    credential_id: Option<CredentialId>,
    /// Whose credential it is.
    #[schema(value_type = String)]
    credential_type: CredentialType,
    /// Why it is there, and why in this place.
    reason: String,
    /// What the call would cost at most, USD; without a limit of its own with 1000 tokens of output.
    #[schema(value_type = String)]
    estimate: NanoUsd,
    /// Names of the budgets that it would count towards.
    budgets: Vec<String>,
}

/// Somebody who would not be asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedRemoval {
    /// The model, or a fallback's name that means none.
    model: String,
    /// The provider; absent when the model was taken out as a whole.
    provider: Option<String>,
    /// The credential; absent when the provider was taken out as a whole.
    #[schema(value_type = Option<String>)]
    credential_id: Option<CredentialId>,
    /// The filter that took it out.
    reason: String,
}

/// Why the call would be refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedRefusal {
    /// As call records name it.
    #[schema(value_type = String)]
    cause: RefusalCause,
    /// As the caller would read it.
    message: String,
    /// The field of the request that is to blame.
    param: Option<String>,
}

impl Explained {
    pub(super) fn of(planned: Result<Plan, PlanRefusal>) -> Self {
        let plan = match planned {
            Ok(plan) => plan,
            Err(refusal) => {
                return Self {
                    inference_regions: refusal.regions(),
                    removed: refusal.removed.iter().map(ExplainedRemoval::from).collect(),
                    refusal: Some(ExplainedRefusal {
                        cause: refusal.cause(),
                        message: refusal.to_string(),
                        param: refusal.param().map(str::to_owned),
                    }),
                    ..Self::default()
                };
            }
        };
        let candidates = plan.candidates.iter().map(|candidate| ExplainedCandidate {
            model: candidate.model.name.to_string(),
            provider: candidate.provider.slug.to_string(),
            upstream_name: candidate.upstream_name().to_owned(),
            credential_id: candidate.credential.as_ref().map(|credential| credential.id),
            credential_type: candidate.credential_type,
            reason: candidate.reason(),
            estimate: candidate.estimate(),
            budgets: candidate.budgets.iter().map(|part| part.budget.name.to_string()).collect(),
        });
        Self {
            route: plan.route.as_ref().map(|route| route.name.to_string()),
            candidates: candidates.collect(),
            removed: plan.removed.iter().map(ExplainedRemoval::from).collect(),
            max_attempts: Some(plan.policy.max_attempts),
            zdr: Some(plan.policy.zdr),
            inference_regions: plan.policy.regions,
            refusal: None,
        }
    }
}

impl From<&Removed> for ExplainedRemoval {
    fn from(removed: &Removed) -> Self {
        Self {
            model: removed.model.to_string(),
            provider: removed.provider.as_ref().map(ToString::to_string),
            credential_id: removed.credential,
            reason: removed.filter.to_string(),
        }
    }
}
