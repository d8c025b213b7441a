//! The permit (rates, slots: per call) and the first hold (money: per attempt), in one step.

use std::sync::Arc;

use futures_util::FutureExt as _;
use smallvec::SmallVec;
use tidegate_limits::{
    Admit, Admitted, HeldUnder, Hold, LimitError, RateScope, Refusal as LimitRefusal, ScopeLimits,
};
use tidegate_policy::{Candidate, Plan, RateScope as PlanScope, Role};
use tidegate_types::{NanoUsd, OrganizationId};

use crate::account::Account;
use crate::gateway::Gateway;
use crate::grant::Grant;
use crate::offer::Offer;
use crate::read_call::Call;
use crate::refusal::{Refusal, Refused};
use crate::settle::deadline;

/// A call that is in, with the money of its first attempt. The slots themselves are kept by
/// the call's account.
#[derive(Debug)]
pub(crate) struct Permit {
    /// The candidates in the order in which they are tried.
    pub(crate) order: SmallVec<[usize; 4]>,
    /// Until the first attempt takes it.
    pub(crate) first: Option<Held>,
}

/// Money held for one attempt.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) grant: Grant,
    pub(crate) hold: Option<Hold>,
    pub(crate) under: HeldUnder,
}

impl Held {
    /// No budget matches.
    const fn nothing(grant: Grant) -> Self {
        Self { grant, hold: None, under: HeldUnder { epoch: 0, in_advance: false } }
    }
}

/// Asks the limiter, once in the usual case.
pub(crate) async fn admit(
    gateway: &Arc<Gateway>,
    account: &Account,
    organization: OrganizationId,
    call: &Call,
    plan: &Plan,
) -> Result<Permit, Refused> {
    let order = order(plan);
    let first = order.first().and_then(|index| plan.candidates.get(*index));
    let Some(candidate) = first else { return Err(Refusal::away()) };
    account.note_model(candidate.model.id);
    let mut offer = Offer::of(gateway, account, organization, call, plan, candidate, 0)?;
    offer.give_way().await;
    loop {
        let ask = Admit {
            organization_id: organization,
            call_id: account.arrival.call_id,
            scopes: scopes(plan, candidate),
            tokens: offer.grant.likely_tokens(),
            hold: offer.hold(),
        };
        if ask.hold.is_none() && ask.scopes.is_empty() {
            return Ok(Permit { order, first: Some(Held::nothing(offer.grant)) });
        }
        match admit_in_epoch(gateway, &ask).await {
            Ok(admitted) => {
                account.note_permit(Some(admitted.permit), admitted.rates);
                let first = Held { grant: offer.grant, hold: ask.hold, under: admitted.held };
                return Ok(Permit { order, first: Some(first) });
            }
            Err(error) if offer.lower(&error).await => {}
            Err(error) => return Err(Refusal::limited(error, candidate, ask.hold.as_ref())),
        }
    }
}

/// Admits a call that is answered from the cache: it counts against rates of requests and takes a slot while
/// it lasts, uses no tokens, and holds money where it is charged.
pub(crate) async fn admit_cached(
    gateway: &Arc<Gateway>,
    account: &Account,
    organization: OrganizationId,
    plan: &Plan,
    candidate: &Candidate,
    charge: NanoUsd,
) -> Result<Held, Refused> {
    let grant = Grant::cached(charge);
    let charged = charge > NanoUsd::ZERO;
    let hold = (charged && !candidate.budgets.is_empty()).then(|| Hold {
        call_id: account.arrival.call_id,
        attempt: 0,
        step: 0,
        epoch: plan.epoch,
        deadline: deadline(gateway, gateway.limiter.now()),
        budgets: grant.holds(candidate),
    });
    let scopes = scopes(plan, candidate);
    let ask =
        Admit { organization_id: organization, call_id: account.arrival.call_id, scopes, tokens: 0, hold };
    if ask.hold.is_none() && ask.scopes.is_empty() {
        return Ok(Held::nothing(grant));
    }
    match admit_in_epoch(gateway, &ask).await {
        Ok(admitted) => {
            account.note_permit(Some(admitted.permit), admitted.rates);
            Ok(Held { grant, hold: ask.hold, under: admitted.held })
        }
        Err(error) => Err(Refusal::limited(error, candidate, ask.hold.as_ref())),
    }
}

/// Holds money for a further attempt, and asks for the rates of its model where no attempt before did.
pub(crate) async fn hold_further(
    gateway: &Arc<Gateway>,
    account: &Account,
    organization: OrganizationId,
    call: &Call,
    plan: &Plan,
    candidate: &Candidate,
    attempt: u16,
) -> Result<Held, Refused> {
    let mut offer = Offer::of(gateway, account, organization, call, plan, candidate, attempt)?;
    let new_model = account.note_model(candidate.model.id);
    let mut scopes = scopes(plan, candidate);
    scopes.retain(|limited| new_model && matches!(limited.scope, RateScope::Model(_)));
    loop {
        let hold = offer.hold();
        let held = if scopes.is_empty() {
            let Some(hold) = &hold else {
                return Ok(Held::nothing(offer.grant));
            };
            hold_in_epoch(gateway, organization, hold).await
        } else {
            let ask = Admit {
                organization_id: organization,
                call_id: account.arrival.call_id,
                scopes: scopes.clone(),
                tokens: offer.grant.likely_tokens(),
                hold: hold.clone(),
            };
            admit_in_epoch(gateway, &ask).await.map(|admitted| {
                account.note_further_permit(admitted.permit);
                admitted.held
            })
        };
        match held {
            Ok(under) => return Ok(Held { grant: offer.grant, hold, under }),
            Err(error) if offer.lower(&error).await => {}
            Err(error) => return Err(Refusal::limited(error, candidate, hold.as_ref())),
        }
    }
}

/// The plan's order: those that are ejected stand last in it, and are the last resort.
fn order(plan: &Plan) -> SmallVec<[usize; 4]> {
    let mut order: SmallVec<[usize; 4]> = (0..plan.candidates.len()).collect();
    share(plan, &mut order);
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

/// The limits that an attempt at this candidate has to pass.
fn scopes(plan: &Plan, candidate: &Candidate) -> SmallVec<[ScopeLimits; 3]> {
    let limited = plan.rates.iter().filter_map(|rate| {
        let scope = match rate.scope {
            PlanScope::Key(id) => RateScope::Key(id),
            PlanScope::Team(id) => RateScope::Team(id),
            PlanScope::Organization => RateScope::Organization,
            PlanScope::Model(id) if id == candidate.model.id => RateScope::Model(id),
            PlanScope::Model(_) => return None,
        };
        Some(ScopeLimits { scope, limits: rate.limits })
    });
    limited.collect()
}

/// Asks, and once more where it was refused for what calls before it had not given back yet.
async fn admit_in_epoch(gateway: &Gateway, ask: &Admit) -> Result<Admitted, LimitError> {
    let under_way = gateway.limiter.under_way(ask.organization_id);
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
) -> Result<HeldUnder, LimitError> {
    let under_way = gateway.limiter.under_way(organization);
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
) -> Result<HeldUnder, LimitError> {
    match gateway.limiter.hold(organization, hold).await {
        Err(LimitError::NoEpoch { .. }) if is_soft(Some(hold)) => {
            begin_epoch(gateway, organization);
            Ok(HeldUnder::default())
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
