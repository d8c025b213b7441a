//! The permit (rates, slots: per call) and the first hold (money: per attempt), in one step.

use std::sync::Arc;

use futures_util::FutureExt as _;
use smallvec::SmallVec;
use tidegate_limits::{Admit, Admitted, Hold, LimitError, RateScope, Refusal as LimitRefusal, ScopeLimits};
use tidegate_policy::{Candidate, Plan, RateScope as PlanScope, Role};
use tidegate_types::{NanoUsd, OrganizationId};

use crate::account::Account;
use crate::gateway::Gateway;
use crate::grant::{Grant, grant};
use crate::read_call::Call;
use crate::refusal::{Refusal, Refused};
use crate::settle::deadline;

/// A call that is in, with the money of its first attempt. The slots themselves are kept by
/// the call's account.
#[derive(Debug)]
pub(crate) struct Permit {
    /// The candidates in the order in which they are tried.
    pub(crate) order: SmallVec<[usize; 4]>,
    pub(crate) first: Held,
}

/// Money held for one attempt.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) grant: Grant,
    pub(crate) hold: Option<Hold>,
    pub(crate) epoch: u64,
}

/// Asks the limiter, once in the usual case.
pub(crate) async fn admit(
    gateway: &Arc<Gateway>,
    account: &Account,
    organization: OrganizationId,
    call: &Call,
    plan: &Plan,
) -> Result<Permit, Refused> {
    let order = order(gateway, plan);
    let first = order.first().and_then(|index| plan.candidates.get(*index));
    let Some(candidate) = first else { return Err(Refusal::away()) };
    let mut grant = grant(&call.body, &plan.policy, candidate)?;
    let mut lowered = false;
    loop {
        let ask = Admit {
            organization_id: organization,
            call_id: account.arrival.call_id,
            scopes: scopes(plan),
            tokens: grant.likely_tokens(),
            hold: hold(gateway, account, plan, candidate, &grant, 0),
        };
        if ask.hold.is_none() && ask.scopes.is_empty() {
            return Ok(Permit { order, first: Held { grant, hold: None, epoch: 0 } });
        }
        match admit_in_epoch(gateway, &ask).await {
            Ok(admitted) => {
                account.note_permit(Some(admitted.permit), admitted.rates);
                return Ok(Permit { order, first: Held { grant, hold: ask.hold, epoch: admitted.epoch } });
            }
            Err(error) => match left(&error).and_then(|left| grant.affordable(left, candidate)) {
                // A call that named no limit gets what is left, if that is an answer at all.
                Some(less) if !lowered => (grant, lowered) = (less, true),
                _ => return Err(Refusal::limited(error, &candidate.budgets, ask.hold.as_ref())),
            },
        }
    }
}

/// Holds money for a further attempt.
pub(crate) async fn hold_further(
    gateway: &Arc<Gateway>,
    account: &Account,
    organization: OrganizationId,
    call: &Call,
    plan: &Plan,
    candidate: &Candidate,
    attempt: u16,
) -> Result<Held, Refused> {
    let mut grant = grant(&call.body, &plan.policy, candidate)?;
    let mut lowered = false;
    loop {
        let Some(hold) = hold(gateway, account, plan, candidate, &grant, attempt) else {
            return Ok(Held { grant, hold: None, epoch: 0 });
        };
        match hold_in_epoch(gateway, organization, &hold).await {
            Ok(epoch) => return Ok(Held { grant, hold: Some(hold), epoch }),
            Err(error) => match left(&error).and_then(|left| grant.affordable(left, candidate)) {
                Some(less) if !lowered => (grant, lowered) = (less, true),
                _ => return Err(Refusal::limited(error, &candidate.budgets, Some(&hold))),
            },
        }
    }
}

/// The plan's order, those that cool down last.
fn order(gateway: &Gateway, plan: &Plan) -> SmallVec<[usize; 4]> {
    let mut order: SmallVec<[usize; 4]> = (0..plan.candidates.len()).collect();
    if plan.candidates.len() > 1 {
        let health = &gateway.health;
        let mut first = true;
        // Asked once for each, in their order; the first that does not cool may be a probe.
        order.sort_by_cached_key(|index| {
            let Some(candidate) = plan.candidates.get(*index) else { return true };
            let cools = if first { health.is_cooling_first(candidate) } else { health.is_cooling(candidate) };
            first &= cools;
            cools
        });
        share(plan, &mut order);
    }
    order
}

/// Where the request names models to fall back on, none takes all of the attempts.
fn share(plan: &Plan, order: &mut SmallVec<[usize; 4]>) {
    let model = |index: usize| plan.candidates.get(index).map(|candidate| candidate.model.id);
    if !plan.candidates.iter().any(|candidate| matches!(candidate.role, Role::Wished(_))) {
        return;
    }
    let mut taken: SmallVec<[_; 4]> = SmallVec::new();
    for index in order.iter().copied() {
        if !taken.iter().any(|(known, _)| *known == model(index)) {
            taken.push((model(index), 0));
        }
    }
    let most = usize::from(plan.policy.max_attempts).div_ceil(taken.len().max(1));
    order.retain(|index| {
        let Some((_, count)) = taken.iter_mut().find(|(known, _)| *known == model(*index)) else {
            return false;
        };
        *count += 1;
        *count <= most
    });
}

fn scopes(plan: &Plan) -> SmallVec<[ScopeLimits; 3]> {
    plan.rates
        .iter()
        .map(|rate| ScopeLimits {
            scope: match rate.scope {
                PlanScope::Key(id) => RateScope::Key(id),
                PlanScope::Team(id) => RateScope::Team(id),
            },
            limits: rate.limits,
        })
        .collect()
}

fn hold(
    gateway: &Gateway,
    account: &Account,
    plan: &Plan,
    candidate: &Candidate,
    grant: &Grant,
    attempt: u16,
) -> Option<Hold> {
    let budgets = grant.holds(candidate);
    (!budgets.is_empty()).then(|| Hold {
        call_id: account.arrival.call_id,
        attempt,
        step: 0,
        epoch: plan.epoch,
        deadline: deadline(gateway, gateway.limiter.now()),
        budgets,
    })
}

/// What is left in the budget that refused.
fn left(error: &LimitError) -> Option<NanoUsd> {
    match error {
        LimitError::Refused(refused) => match refused.refusal {
            LimitRefusal::Budget { limit, spent, held, unresolved, .. } => {
                Some(limit - spent - held - unresolved)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Asks, and once more where it was refused for what calls before it had not given back yet.
async fn admit_in_epoch(gateway: &Gateway, ask: &Admit) -> Result<Admitted, LimitError> {
    let under_way = gateway.limiter.under_way();
    match admit_as_it_is(gateway, ask).await {
        // Seldom, and kept out of every call's state.
        Err(error) if may_be_early(&error) => {
            Box::pin(async move {
                let limiter = &gateway.limiter;
                if limiter.caught_up(under_way, ask.organization_id, &ask.scopes).await {
                    admit_as_it_is(gateway, ask).await
                } else {
                    Err(error)
                }
            })
            .await
        }
        decided => decided,
    }
}

/// Whether settlements and releases could make the call pass.
fn may_be_early(error: &LimitError) -> bool {
    let LimitError::Refused(refused) = error else { return false };
    match refused.refusal {
        LimitRefusal::Concurrency { .. } => true,
        LimitRefusal::Budget { held, .. } => held > NanoUsd::ZERO,
        LimitRefusal::Rate { .. } => false,
    }
}

async fn admit_as_it_is(gateway: &Gateway, ask: &Admit) -> Result<Admitted, LimitError> {
    match gateway.limiter.admit(ask).await {
        Err(LimitError::NoEpoch { .. }) => Box::pin(admit_again(gateway, ask)).await,
        decided => decided,
    }
}

async fn admit_again(gateway: &Gateway, ask: &Admit) -> Result<tidegate_limits::Admitted, LimitError> {
    if is_soft(ask.hold.as_ref()) {
        begin_epoch(gateway, ask.organization_id);
        return gateway.limiter.admit(&Admit { hold: None, ..ask.clone() }).await;
    }
    open_epoch(gateway, ask.organization_id).await?;
    gateway.limiter.admit(ask).await
}

async fn hold_in_epoch(
    gateway: &Gateway,
    organization: OrganizationId,
    hold: &Hold,
) -> Result<u64, LimitError> {
    let under_way = gateway.limiter.under_way();
    match hold_as_it_is(gateway, organization, hold).await {
        Err(error)
            if may_be_early(&error) && gateway.limiter.caught_up(under_way, organization, &[]).await =>
        {
            hold_as_it_is(gateway, organization, hold).await
        }
        decided => decided,
    }
}

async fn hold_as_it_is(
    gateway: &Gateway,
    organization: OrganizationId,
    hold: &Hold,
) -> Result<u64, LimitError> {
    match gateway.limiter.hold(organization, hold).await {
        Err(LimitError::NoEpoch { .. }) if is_soft(Some(hold)) => {
            begin_epoch(gateway, organization);
            Ok(0)
        }
        Err(LimitError::NoEpoch { .. }) => {
            open_epoch(gateway, organization).await?;
            gateway.limiter.hold(organization, hold).await
        }
        decided => decided,
    }
}

/// Whether no budget may refuse: without counters the call passes, and is counted when they open.
fn is_soft(hold: Option<&Hold>) -> bool {
    hold.is_some_and(|hold| hold.budgets.iter().all(|part| !part.hard))
}

/// Has the counters opened without waiting for it: the authority goes on by itself.
fn begin_epoch(gateway: &Gateway, organization: OrganizationId) {
    let _ = gateway.authority.open_epoch(organization).now_or_never();
}

async fn open_epoch(gateway: &Gateway, organization: OrganizationId) -> Result<(), LimitError> {
    gateway.authority.open_epoch(organization).await.map_err(|_| LimitError::Away)
}
