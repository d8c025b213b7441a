//! What an attempt asks budgets for: all of it, a first step, or what is left; and how long it waits for money
//! that other calls hold and may give back.

use std::time::Duration;

use tidegate_limits::{Hold, LimitError, Refusal as LimitRefusal};
use tidegate_policy::{BudgetRef, Candidate, Plan};
use tidegate_types::resource::{AbortBilling, HoldMode};
use tidegate_types::{NanoUsd, OrganizationId};
use tokio::time::Instant;

use crate::account::Account;
use crate::gateway::Gateway;
use crate::grant::{Grant, grant};
use crate::meter::ABORT_LAG;
use crate::read_call::Call;
use crate::refusal::Refused;
use crate::settle::deadline;
use crate::steps::{STEP, is_ample};

/// A call that is lowered to less than such a part of its output waits first.
const DECENT_PARTS: u64 = 4;
/// Between two questions, at first and at most.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// One attempt's wish for money.
pub(crate) struct Offer<'a> {
    gateway: &'a Gateway,
    candidate: &'a Candidate,
    organization: OrganizationId,
    /// What it would have where there is room.
    full: Grant,
    /// What is asked for now.
    pub(crate) grant: Grant,
    /// Without its amounts.
    hold: Option<Hold>,
    until: Instant,
    pause: Duration,
}

/// What a budget that refused has.
struct Short {
    left: NanoUsd,
    held: NanoUsd,
}

impl<'a> Offer<'a> {
    pub(crate) fn of(
        gateway: &'a Gateway,
        account: &Account,
        organization: OrganizationId,
        call: &Call,
        plan: &Plan,
        candidate: &'a Candidate,
        attempt: u16,
    ) -> Result<Self, Refused> {
        let mut whole = grant(&call.body, &plan.policy, candidate)?;
        let is_expected = |part: &BudgetRef| part.budget.hard && part.budget.mode == HoldMode::Expected;
        let expects = candidate.budgets.iter().any(is_expected);
        if expects && whole.limit.is_some() {
            let usual = gateway.expected.of(candidate.provider.id, candidate.model.id);
            whole.usual = usual.map(|usual| usual.saturating_mul(whole.answers));
        }
        let hold = (!candidate.budgets.is_empty()).then(|| Hold {
            call_id: account.arrival.call_id,
            attempt,
            step: 0,
            epoch: plan.epoch,
            deadline: deadline(gateway, gateway.limiter.now()),
            budgets: whole.holds(candidate),
        });
        let mut full = whole;
        if let (true, Some(hold)) = (!expects && may_step(call, candidate, &whole), &hold)
            && !is_ample(gateway.limiter.room(organization, &hold.budgets), whole.amount)
        {
            // As long as nobody knows how long answers are, one that is let in must have what it may need:
            // else many would begin and none would end.
            if let Some(usual) = gateway.typical.of(candidate.provider.id, candidate.model.id) {
                // A quarter more: what is known of few answers is too little for half of the others.
                let first = (usual / 4 * 5).max(STEP).saturating_mul(whole.answers) + ABORT_LAG;
                full = whole.stepped(first, candidate);
            }
        }
        let until = Instant::now() + gateway.settings.budget_patience;
        Ok(Self { gateway, candidate, organization, full, grant: full, hold, until, pause: PAUSE })
    }

    /// Lets streams that run and lack money go before.
    pub(crate) async fn give_way(&mut self) {
        let is_hard = self.full.amount > NanoUsd::ZERO;
        while is_hard && self.gateway.waiting.is_starving(self.organization) && self.wait().await {}
    }

    /// The hold to be placed.
    pub(crate) fn hold(&self) -> Option<Hold> {
        let budgets = self.grant.holds(self.candidate);
        self.hold.as_ref().map(|hold| Hold { budgets, ..hold.clone() })
    }

    /// After a refusal: whether it is worth asking again, for less or after a while. A call that named no
    /// limit gets what is left, if that is an answer at all.
    pub(crate) async fn lower(&mut self, error: &LimitError) -> bool {
        let Some(short) = short(error) else { return false };
        let least = self.grant.least_amount(self.candidate);
        let wanted = self.decent_output();
        let lowered =
            self.grant.affordable(short.left, self.candidate).filter(|less| less.amount < self.grant.amount);
        let is_decent = lowered.is_some_and(|less| less.output_tokens >= wanted);
        let may_come_back = short.held > NanoUsd::ZERO && short.left + short.held >= least;
        if !is_decent && may_come_back && self.wait().await {
            self.grant = self.full;
            return true;
        }
        let Some(lowered) = lowered else { return false };
        self.grant = lowered;
        true
    }

    /// Output below which a call waits first: a part of what it would be granted, or half more than nearly all answers
    /// of the model have, where that is more. Grants shrink from call to call where each takes what the one before it
    /// left: below what answers need they would be cut short although money is coming back.
    fn decent_output(&self) -> u64 {
        let Candidate { provider, model, .. } = self.candidate;
        let usual = self.gateway.expected.of(provider.id, model.id).unwrap_or(0);
        let most = self.full.output_tokens;
        (most / DECENT_PARTS).max(usual / 2 * 3).min(most)
    }

    /// Waits a little; false: for long enough.
    async fn wait(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.until || self.gateway.stopping.is_cancelled() {
            return false;
        }
        let most = self.pause.min(self.until - now);
        self.gateway.waiting.wait(self.organization, most).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        // What came back is for streams that run and lack it, first.
        while self.gateway.waiting.is_starving(self.organization) && Instant::now() < self.until {
            self.gateway.waiting.wait(self.organization, PAUSE.min(self.until - Instant::now())).await;
        }
        true
    }
}

/// Whether the output is metered as it comes, and stopping it stops its cost.
fn may_step(call: &Call, candidate: &Candidate, whole: &Grant) -> bool {
    call.body.stream
        && !call.body.is_task()
        && whole.limit.is_some()
        && whole.amount > NanoUsd::ZERO
        && candidate.offering.output_visible
        && candidate.provider.abort_billing == AbortBilling::Stops
}

fn short(error: &LimitError) -> Option<Short> {
    let LimitError::Refused(refused) = error else { return None };
    match refused.refusal {
        LimitRefusal::Budget { limit, spent, held, unresolved, .. } => {
            Some(Short { left: limit - spent - held - unresolved, held })
        }
        _ => None,
    }
}
