//! Plan and attempts of a call, with names, as its callers read them.

use std::collections::HashMap;

use tidegate_proto::query::{AttemptStep, PlannedStep, RemovedStep};
use tidegate_store::{Result, TenantTx, reports};
use tidegate_types::usage::{CallRecord, CredentialType, Outcome};
use tidegate_types::{ModelName, OfferingId, ProviderSlug};

/// Who could have answered, who was taken out, who was tried.
pub(crate) struct Steps {
    pub(crate) candidates: Vec<PlannedStep>,
    pub(crate) removed: Vec<RemovedStep>,
    pub(crate) attempts: Vec<AttemptStep>,
}

type Names = HashMap<OfferingId, (ModelName, ProviderSlug)>;

/// The steps of a call; names of what is gone are empty.
pub(crate) async fn of(tx: &mut TenantTx, call: &CallRecord) -> Result<Steps> {
    let plan = call.plan.as_deref();
    let planned = plan.into_iter().flat_map(|plan| &plan.candidates).map(|planned| planned.offering_id);
    let removed = plan.into_iter().flat_map(|plan| &plan.removed).filter_map(|removed| removed.offering_id);
    let tried = call.attempts.iter().map(|attempt| attempt.offering_id);
    let ids: Vec<OfferingId> = planned.chain(removed).chain(tried).collect();
    let names = reports::offering_names(tx, &ids).await?;
    let mut steps = Steps { candidates: vec![], removed: vec![], attempts: vec![] };
    for planned in plan.into_iter().flat_map(|plan| &plan.candidates) {
        let (model, provider) = named(&names, planned.offering_id);
        steps.candidates.push(PlannedStep {
            model,
            provider,
            credential_type: credential_type(planned.credential_type).to_owned(),
            role: planned.role.as_str().to_owned(),
            standing: planned.standing.as_str().to_owned(),
            ejected: planned.ejected,
        });
    }
    for removed in plan.into_iter().flat_map(|plan| &plan.removed) {
        let (model, provider) = match (removed.offering_id, removed.model_id) {
            (Some(offering), _) => named(&names, offering),
            (None, Some(model)) => (reports::model_name(tx, model).await?.unwrap_or_default(), String::new()),
            (None, None) => Default::default(),
        };
        steps.removed.push(RemovedStep { model, provider, filter: removed.filter.as_str().to_owned() });
    }
    for attempt in &call.attempts {
        let (model, provider) = named(&names, attempt.offering_id);
        steps.attempts.push(AttemptStep {
            model,
            provider,
            credential_type: credential_type(attempt.credential_type).to_owned(),
            status: u32::from(attempt.status),
            outcome: attempt.outcome.map(outcome).unwrap_or_default().to_owned(),
            started_ms: attempt.started_ms,
            duration_ms: attempt.duration_ms,
        });
    }
    Ok(steps)
}

fn named(names: &Names, offering: OfferingId) -> (String, String) {
    names.get(&offering).map(|(model, slug)| (model.to_string(), slug.to_string())).unwrap_or_default()
}

const fn credential_type(credential: CredentialType) -> &'static str {
    match credential {
        CredentialType::System => "system",
        CredentialType::Byok => "byok",
        CredentialType::Client => "client",
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "open",
        Outcome::Completed => "completed",
        Outcome::Refused => "refused",
        Outcome::NotSent => "not_sent",
        Outcome::Interrupted => "interrupted",
        Outcome::Unresolved => "unresolved",
    }
}
