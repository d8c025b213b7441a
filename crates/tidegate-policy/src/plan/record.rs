//! The short form of a plan, as call records keep it: ids and enums, bounded, only where it says anything.

use tidegate_types::usage::{
    CredentialType, FilterName, MOST_PLANNED, PlanRecord, PlannedCandidate, PlannedRole, RemovedCandidate,
    Standing,
};

use super::filter::Filter;
use super::measured::{Condition, Pause, Quota};
use super::outcome::{Candidate, Plan, Removed, Role};
use super::refusal::PlanRefusal;

/// The short form of a plan; `None` for the usual one of a single candidate that was asked for by name,
/// which the attempt tells.
#[must_use]
pub fn record_of(plan: &Plan) -> Option<Box<PlanRecord>> {
    let alone = plan.candidates.len() == 1 && plan.removed.is_empty();
    if alone && plan.candidates.first().is_some_and(|only| only.role == Role::Named) {
        return None;
    }
    let planned = |candidate: &Candidate| PlannedCandidate {
        offering_id: candidate.offering.id,
        // One of the request's own is nobody's but that request's.
        credential_id: candidate
            .credential
            .as_ref()
            .filter(|_| candidate.credential_type != CredentialType::Client)
            .map(|credential| credential.id),
        credential_type: candidate.credential_type,
        role: role(candidate.role),
        place: candidate.rank.place(),
        standing: standing(candidate),
        ejected: candidate.ejected,
        share: candidate.share,
        quota_tenths: (candidate.quota != Quota::FULL).then(|| candidate.quota.tenths()),
    };
    Some(Box::new(PlanRecord {
        candidates: plan.candidates.iter().take(MOST_PLANNED).map(planned).collect(),
        removed: removed(&plan.removed),
        more_candidates: beyond(plan.candidates.len()),
        more_removed: beyond(plan.removed.len()),
    }))
}

/// What the filters took out of a call that nobody was left for; `None` where it was refused before.
#[must_use]
pub fn record_of_refusal(refusal: &PlanRefusal) -> Option<Box<PlanRecord>> {
    (!refusal.removed.is_empty()).then(|| {
        Box::new(PlanRecord {
            removed: removed(&refusal.removed),
            more_removed: beyond(refusal.removed.len()),
            ..PlanRecord::default()
        })
    })
}

fn removed(all: &[Removed]) -> Vec<RemovedCandidate> {
    let short = |removed: &Removed| RemovedCandidate {
        offering_id: removed.offering_id,
        model_id: removed.model_id.filter(|_| removed.offering_id.is_none()),
        credential_id: removed.credential,
        filter: removed.filter.name(),
    };
    all.iter().take(MOST_PLANNED).map(short).collect()
}

fn beyond(count: usize) -> u32 {
    u32::try_from(count.saturating_sub(MOST_PLANNED)).unwrap_or(u32::MAX)
}

const fn role(role: Role) -> PlannedRole {
    match role {
        Role::Named => PlannedRole::Named,
        Role::Drawn { weight, of } => PlannedRole::Drawn { weight, of },
        Role::Undrawn => PlannedRole::Undrawn,
        Role::Fallback(number) => PlannedRole::Fallback { number: number as u32 },
        Role::Wished(number) => PlannedRole::Wished { number: number as u32 },
    }
}

const fn standing(candidate: &Candidate) -> Standing {
    match (candidate.pause, candidate.vitals.condition) {
        (Pause::Resting | Pause::Over, _) => Standing::Cooling,
        (Pause::None, Condition::Fine) => Standing::Fine,
        (Pause::None, Condition::Degraded) => Standing::Degraded,
        (Pause::None, Condition::Down) => Standing::Down,
    }
}

impl Filter {
    /// Its name in records.
    #[must_use]
    pub const fn name(&self) -> FilterName {
        match self {
            Self::Name(_) => FilterName::Name,
            Self::UnknownModel => FilterName::UnknownModel,
            Self::NotOffered => FilterName::NotOffered,
            Self::Model(_) => FilterName::Model,
            Self::RouteProviders => FilterName::RouteProviders,
            Self::Only => FilterName::Only,
            Self::Provider(_) => FilterName::Provider,
            Self::Headquarters(_) => FilterName::Headquarters,
            Self::Residency { .. } => FilterName::Residency,
            Self::Zdr { .. } => FilterName::Zdr,
            Self::Feature { .. } => FilterName::Feature,
            Self::Kind => FilterName::Kind,
            Self::Lacks(_) => FilterName::Lacks,
            Self::NoPrice => FilterName::NoPrice,
            Self::Output { .. } => FilterName::Output,
            Self::Context { .. } => FilterName::Context,
            Self::Disabled => FilterName::Disabled,
            Self::Closed => FilterName::Closed,
            Self::SystemCredentials => FilterName::SystemCredentials,
            Self::NoCredential => FilterName::NoCredential,
            Self::CredentialDisabled => FilterName::CredentialDisabled,
            Self::Unattested => FilterName::Unattested,
            Self::OwnPrice => FilterName::OwnPrice,
            Self::BudgetClosed(_) => FilterName::BudgetClosed,
        }
    }
}
