//! The plan of a call as it is shown: ids, and names where what they name is still there.

use serde::Serialize;
use tidegate_store::{StoreError, TenantTx, reports};
use tidegate_types::usage::{
    CallShare, CredentialType, FilterName, PlanRecord, PlannedCandidate, PlannedRole, RemovedCandidate,
    Standing,
};
use tidegate_types::{CredentialId, ModelId, ModelName, OfferingId, ProviderSlug};
use utoipa::ToSchema;

/// The plan of a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallPlan)]
pub(super) struct PlanView {
    /// Who could have answered, in this order; the first eight.
    candidates: Vec<CandidateView>,
    /// Who was taken out; the first eight.
    removed: Vec<RemovedView>,
    /// Candidates beyond those.
    more_candidates: u32,
    /// Removed ones beyond those.
    more_removed: u32,
}

/// Somebody who could have answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallCandidate)]
pub(super) struct CandidateView {
    /// The model at a provider.
    #[schema(value_type = String)]
    offering_id: OfferingId,
    /// The model; absent in lists, and when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    model: Option<ModelName>,
    /// The provider; absent in lists, and when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    provider: Option<ProviderSlug>,
    /// The credential; absent for those of requests, and where nobody signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    credential_id: Option<CredentialId>,
    /// Who would have paid: `system`, `byok` or `client`.
    #[schema(value_type = String)]
    credential_type: CredentialType,
    /// Why it is there: `role` is `named`, `drawn` (with `weight` and `of`), `undrawn`, `fallback` or `wished`
    /// (with `number`, from 0).
    #[serde(flatten)]
    #[schema(value_type = Object)]
    role: PlannedRole,
    /// Its place in the request's `order`, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<u16>,
    /// How it fared at that moment: `fine`, `degraded`, `down` or `cooling`.
    #[schema(value_type = String)]
    standing: Standing,
    /// A last resort for that: at least half of the candidates stood better.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    ejected: bool,
    /// How its credential shares calls with others of its order: its `weight`, and `of`, the weights of all. Of the
    /// organization's own credentials only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    share: Option<CallShare>,
    /// How many tenths of its share it got, for its provider had said that little of its quota was left. Of the
    /// organization's own credentials only.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_tenths: Option<u8>,
}

/// Somebody who was taken out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallRemoval)]
pub(super) struct RemovedView {
    /// The model at a provider; absent when the model was taken out as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    offering_id: Option<OfferingId>,
    /// The model, where that was taken out as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    model_id: Option<ModelId>,
    /// The model's name; absent in lists, when it is gone, and where a name means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    provider: Option<ProviderSlug>,
    /// The credential; absent when the offering was taken out with every credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    credential_id: Option<CredentialId>,
    /// What took it out.
    #[schema(value_type = String, example = "only")]
    filter: FilterName,
}

impl PlanView {
    /// Looks up the names.
    pub(super) async fn name(&mut self, tx: &mut TenantTx) -> Result<(), StoreError> {
        let planned = self.candidates.iter().map(|planned| planned.offering_id);
        let removed = self.removed.iter().filter_map(|removed| removed.offering_id);
        let ids: Vec<OfferingId> = planned.chain(removed).collect();
        let names = reports::offering_names(tx, &ids).await?;
        for planned in &mut self.candidates {
            (planned.model, planned.provider) = names.get(&planned.offering_id).cloned().unzip();
        }
        for removed in &mut self.removed {
            if let Some((model, provider)) = removed.offering_id.and_then(|id| names.get(&id)) {
                removed.model = Some(model.to_string());
                removed.provider = Some(provider.clone());
            } else if let Some(id) = removed.model_id {
                removed.model = reports::model_name(tx, id).await?;
            }
        }
        Ok(())
    }
}

impl From<&PlanRecord> for PlanView {
    fn from(plan: &PlanRecord) -> Self {
        Self {
            candidates: plan.candidates.iter().map(Into::into).collect(),
            removed: plan.removed.iter().map(Into::into).collect(),
            more_candidates: plan.more_candidates,
            more_removed: plan.more_removed,
        }
    }
}

impl From<&PlannedCandidate> for CandidateView {
    fn from(planned: &PlannedCandidate) -> Self {
        // What the operator's accounts share and how full they are is the operator's. Their ids are shown, as in call
        // records: whoever asks the operator about a call names by them which account it was.
        let is_own = planned.credential_type != CredentialType::System;
        Self {
            offering_id: planned.offering_id,
            model: None,
            provider: None,
            credential_id: planned.credential_id,
            credential_type: planned.credential_type,
            role: planned.role,
            place: planned.place,
            standing: planned.standing,
            ejected: planned.ejected,
            share: planned.share.filter(|_| is_own),
            quota_tenths: planned.quota_tenths.filter(|_| is_own),
        }
    }
}

impl From<&RemovedCandidate> for RemovedView {
    fn from(removed: &RemovedCandidate) -> Self {
        Self {
            offering_id: removed.offering_id,
            model_id: removed.model_id,
            model: None,
            provider: None,
            credential_id: removed.credential_id,
            filter: removed.filter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_the_operators_accounts_share_and_how_full_they_are_is_not_told() {
        let planned = |credential_type| PlannedCandidate {
            offering_id: OfferingId::from_u128(1),
            credential_id: Some(CredentialId::from_u128(2)),
            credential_type,
            role: PlannedRole::Named,
            place: None,
            standing: Standing::Fine,
            ejected: false,
            share: Some(CallShare { weight: 1, of: 4 }),
            quota_tenths: Some(3),
        };
        let told = |credential_type| {
            let view = CandidateView::from(&planned(credential_type));
            (view.share.is_some(), view.quota_tenths)
        };
        assert_eq!(told(CredentialType::System), (false, None));
        assert_eq!(told(CredentialType::Byok), (true, Some(3)));
    }
}
