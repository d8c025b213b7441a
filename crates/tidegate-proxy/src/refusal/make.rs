//! Refusals from what the other crates say no with.

use tidegate_dialect::RequestError;
use tidegate_limits::{Hold, LimitError, RateKind, Refusal as LimitRefusal};
use tidegate_policy::{BudgetRef, KeyRefusal, PlanRefusal, Why};
use tidegate_types::NanoUsd;
use tidegate_types::usage::RefusalCause;

use super::{Refusal, Refused};
use crate::edges::JournalFull;

impl From<KeyRefusal> for Refused {
    fn from(refusal: KeyRefusal) -> Self {
        let refused = Refusal::new(refusal.cause(), refusal.to_string());
        match refusal {
            KeyRefusal::Stale => refused.code("configuration_stale").retry_after(5_000),
            _ => refused,
        }
    }
}

impl From<RequestError> for Refused {
    fn from(error: RequestError) -> Self {
        let refused = Refusal::new(RefusalCause::BadRequest, error.to_string());
        match error.path() {
            Some(path) => refused.param(path.to_owned()),
            None => refused,
        }
    }
}

impl From<PlanRefusal> for Refused {
    fn from(refusal: PlanRefusal) -> Self {
        let mut refused = Refusal::new(refusal.cause(), refusal.to_string());
        if refusal.cause() == RefusalCause::NotPriced {
            refused.code = Some("model_not_priced");
        }
        refused.param = refusal.param().map(Into::into);
        if let Why::UnknownModel { asked, .. } | Why::Ambiguous { asked, .. } = refusal.why {
            refused.model = Some(asked);
        }
        refused
    }
}

impl From<JournalFull> for Refused {
    fn from(_: JournalFull) -> Self {
        Refusal::new(RefusalCause::Unavailable, "nothing can be recorded at the moment, so nothing is served")
            .code("journal_full")
            .retry_after(5_000)
    }
}

/// A limiter's no. `budgets` are those of the attempt, for their names; `hold` is what was asked for.
pub(super) fn limited(error: LimitError, budgets: &[BudgetRef], hold: Option<&Hold>) -> Refused {
    match error {
        LimitError::Refused(refused) => {
            let mut refusal = of_limit(&refused.refusal, budgets, hold);
            refusal.rates = Some(refused.rates);
            refusal
        }
        LimitError::OutOfRange { budget_id } => {
            let mut refusal =
                Refusal::new(RefusalCause::Budget, "the call's upper bound is more than any budget can hold");
            refusal.budget_id = Some(budget_id);
            refusal
        }
        LimitError::NoEpoch { .. } | LimitError::Away | LimitError::HoldEnded | LimitError::Unfit(_) => {
            away()
        }
    }
}

/// Nobody can say whether a budget allows the call.
pub(super) fn away() -> Refused {
    Refusal::new(RefusalCause::Unavailable, "the authority over budgets is away; try again shortly")
        .code("budget_authority_away")
        .retry_after(1_000)
}

fn of_limit(refusal: &LimitRefusal, budgets: &[BudgetRef], hold: Option<&Hold>) -> Refused {
    match refusal {
        LimitRefusal::Rate { kind, limit, retry_after_ms, .. } => {
            let (what, code) = match kind {
                RateKind::Requests => ("requests", "requests_per_minute"),
                RateKind::Tokens => ("tokens", "tokens_per_minute"),
            };
            let message = format!("the limit of {limit} {what} per minute is used up");
            Refusal::new(RefusalCause::RateLimit, message).code(code).retry_after(*retry_after_ms)
        }
        LimitRefusal::Concurrency { limit, .. } => {
            let message = format!("the limit of {limit} calls at once is used up");
            Refusal::new(RefusalCause::RateLimit, message).code("concurrency").retry_after(1_000)
        }
        LimitRefusal::Budget { budget_id, limit, spent, held, unresolved, resets_at } => {
            let part = budgets.iter().find(|part| part.budget.id == *budget_id);
            let name = part.map_or_else(|| budget_id.to_string(), |part| part.budget.name.to_string());
            // The counters do not know what was spent before the budget counted.
            let past = part.map_or(NanoUsd::ZERO, |part| part.limit.past);
            let (limit, spent) = (*limit + past, *spent + past);
            let resets = resets_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            let asked = hold.and_then(|hold| hold.budgets.iter().find(|part| part.budget_id == *budget_id));
            let cost = asked.map(|part| format!(", which may cost {} USD", part.amount)).unwrap_or_default();
            let message = format!(
                "budget '{name}' cannot afford this call{cost}: limit {limit} USD, spent {spent}, held {held}, \
                 unresolved {unresolved}, resets {resets}"
            );
            let mut refused = Refusal::new(RefusalCause::Budget, message);
            refused.budget_id = Some(*budget_id);
            refused
        }
    }
}

impl Refusal {
    /// A limiter's no.
    pub(crate) fn limited(error: LimitError, budgets: &[BudgetRef], hold: Option<&Hold>) -> Refused {
        limited(error, budgets, hold)
    }

    /// Nobody can say whether a budget allows the call.
    pub(crate) fn away() -> Refused {
        away()
    }
}
