//! Refusals from what the other crates say no with.

use tidegate_dialect::RequestError;
use tidegate_limits::{Hold, LimitError, RateKind, RateScope, Refusal as LimitRefusal};
use tidegate_policy::{Candidate, KeyRefusal, PlanRefusal, Why};
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

/// A limiter's no. `candidate` was to be tried; `hold` is what was asked for.
pub(super) fn limited(error: LimitError, candidate: &Candidate, hold: Option<&Hold>) -> Refused {
    match error {
        LimitError::Refused(refused) => {
            let mut refusal = of_limit(&refused.refusal, candidate, hold);
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

/// Whose limit it is, in words.
fn whose(scope: RateScope, candidate: &Candidate) -> String {
    match scope {
        RateScope::Key(_) => "this key".to_owned(),
        RateScope::Team(_) => "the key's team".to_owned(),
        RateScope::Organization => "the organization".to_owned(),
        RateScope::Model(_) => format!("the organization for model {}", candidate.model.name),
        RateScope::Credential(_) => "the provider's credential".to_owned(),
    }
}

fn of_limit(refusal: &LimitRefusal, candidate: &Candidate, hold: Option<&Hold>) -> Refused {
    let budgets = &candidate.budgets;
    match refusal {
        LimitRefusal::Rate { scope, kind, limit, retry_after_ms } => {
            let (what, code) = match kind {
                RateKind::Requests => ("requests", "requests_per_minute"),
                RateKind::Tokens => ("tokens", "tokens_per_minute"),
            };
            let whose = whose(*scope, candidate);
            let message = format!("the limit of {limit} {what} per minute of {whose} is used up");
            Refusal::new(RefusalCause::RateLimit, message).code(code).retry_after(*retry_after_ms)
        }
        LimitRefusal::Concurrency { scope, limit } => {
            let whose = whose(*scope, candidate);
            let message = format!("the limit of {limit} calls at once of {whose} is used up");
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
    pub(crate) fn limited(error: LimitError, candidate: &Candidate, hold: Option<&Hold>) -> Refused {
        limited(error, candidate, hold)
    }

    /// Nobody can say whether a budget allows the call.
    pub(crate) fn away() -> Refused {
        away()
    }
}
