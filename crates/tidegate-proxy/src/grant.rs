//! How much output a call is granted under a hard budget, and what its upper bound costs. Pure.

use smallvec::SmallVec;
use tidegate_dialect::read::{CallBody, FindingKind, Way};
use tidegate_limits::BudgetHold;
use tidegate_policy::{Candidate, EffectivePolicy};
use tidegate_pricing::Tariff;
use tidegate_types::NanoUsd;
use tidegate_types::resource::{HoldMode, ModelKind, ZdrTier};
use tidegate_types::usage::{RefusalCause, Usage};

use crate::refusal::{Refusal, Refused};

/// Output tokens granted to a call that names none, where no policy says how many.
const DEFAULT_OUTPUT: u64 = 4096;
/// A smaller grant than this is no answer: the call is refused instead.
const LEAST_OUTPUT: u64 = 64;

/// What an attempt may use at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Upper bound of input tokens.
    pub(crate) input_tokens: u64,
    /// Output tokens of one answer.
    pub(crate) output_tokens: u64,
    /// Answers asked for.
    pub(crate) answers: u64,
    /// What must reach the provider as the limit; `None`: the request stays as it is.
    pub(crate) limit: Option<u64>,
    /// Whether the caller named the limit: then it is not lowered to what is affordable.
    pub(crate) named: bool,
    /// Upper bounds of what is billed beyond plain tokens.
    pub(crate) beyond: Usage,
    /// Least output that makes sense for this call.
    pub(crate) least: u64,
    /// What is held at first: the upper bound of the cost, or of its first step; 0 where no hard budget
    /// applies.
    pub(crate) amount: NanoUsd,
    /// Output tokens of all answers that the hold covers at first; `None`: all that are granted.
    pub(crate) step: Option<u64>,
    /// Output tokens that such answers usually have; `None`: unknown, or it does not matter.
    pub(crate) usual: Option<u64>,
}

/// Whether a hard budget covers the candidate's attempt.
pub(crate) fn is_hard(candidate: &Candidate) -> bool {
    candidate.budgets.iter().any(|part| part.budget.hard)
}

/// The grant for an attempt at this candidate.
pub(crate) fn grant(
    call: &CallBody,
    policy: &EffectivePolicy,
    candidate: &Candidate,
) -> Result<Grant, Refused> {
    let most = u64::from(candidate.max_output_tokens).max(1);
    let input = call.input.bound(None);
    let answers = call.answers.max(1);
    refuse_findings(call, policy, is_hard(candidate))?;
    if call.is_task() {
        return task_grant(call, candidate);
    }
    if !is_hard(candidate) || call.counting {
        let output_tokens = call.output_limit.unwrap_or(most).min(most);
        let open = Grant {
            input_tokens: input.tokens,
            output_tokens,
            answers,
            limit: None,
            named: call.output_limit.is_some(),
            beyond: call.input.most,
            least: output_tokens,
            amount: NanoUsd::ZERO,
            step: None,
            usual: None,
        };
        return Ok(open);
    }
    if let Some(path) = input.unboundable {
        return Err(unbounded(path));
    }
    let reasoning = call.reasoning_budget.unwrap_or(0);
    let default = policy.default_max_output_tokens.map_or(DEFAULT_OUTPUT, u64::from);
    let asked = call.output_limit.unwrap_or_else(|| default.max(reasoning.saturating_add(LEAST_OUTPUT)));
    let output_tokens = asked.min(most);
    let mut grant = Grant {
        input_tokens: input.tokens,
        output_tokens,
        answers,
        limit: None,
        named: call.output_limit.is_some(),
        beyond: call.most(),
        least: output_tokens.min(reasoning.saturating_add(LEAST_OUTPUT)),
        amount: NanoUsd::ZERO,
        step: None,
        usual: None,
    };
    if call.way == Way::Compact {
        // Such a request has no limit of its own: it may be as long as the model writes.
        grant.named = true;
        grant.output_tokens = most;
        grant.amount = candidate.tariff.bound(&grant.most(most));
        return Ok(grant);
    }
    grant.lower(output_tokens, candidate);
    Ok(grant)
}

/// What lies at this path of the body may cost anything.
fn unbounded(path: String) -> Refused {
    let message = format!("`{path}` has no upper bound of its cost, and a hard budget covers this call");
    Refusal::new(RefusalCause::BadRequest, message).code("unbounded_cost").param(path)
}

/// The grant for something else than a call of a language model: nothing is limited, and what is held
/// is the most that it can be.
fn task_grant(call: &CallBody, candidate: &Candidate) -> Result<Grant, Refused> {
    let input = call.input.bound(Some(0));
    let hard = is_hard(candidate);
    if let (true, Some(path)) = (hard, input.unboundable) {
        return Err(unbounded(path));
    }
    // Vectors and rankings are billed by their input alone; what the others write is as a rule no token,
    // and so is held where it has a price, but not counted against limits of tokens.
    let writes = !matches!(candidate.model.kind, ModelKind::Embedding | ModelKind::Reranking);
    let answers = call.answers.max(1);
    let most = if writes { u64::from(candidate.max_output_tokens).saturating_mul(answers) } else { 0 };
    let mut grant = Grant {
        input_tokens: input.tokens,
        output_tokens: 0,
        answers,
        limit: None,
        named: true,
        beyond: Usage { output_tokens: most, ..call.input.most },
        least: 0,
        amount: NanoUsd::ZERO,
        step: None,
        usual: None,
    };
    if hard {
        grant.amount = candidate.tariff.bound(&grant.most(0));
    }
    Ok(grant)
}

impl Grant {
    /// What is charged for an answer from the cache; nothing is sent.
    pub(crate) const fn cached(amount: NanoUsd) -> Self {
        Self {
            input_tokens: 0,
            output_tokens: 0,
            answers: 0,
            limit: None,
            named: true,
            beyond: Usage::from_counts([0; 16]),
            least: 0,
            amount,
            step: None,
            usual: None,
        }
    }

    /// All output tokens of all answers.
    pub(crate) const fn all_output(&self) -> u64 {
        self.output_tokens.saturating_mul(self.answers)
    }

    /// What may be used at most, with so much output for each answer.
    const fn most(&self, output_tokens: u64) -> Usage {
        let output = output_tokens.saturating_mul(self.answers);
        Usage {
            input_tokens: self.input_tokens,
            output_tokens: self.beyond.output_tokens.saturating_add(output),
            ..self.beyond
        }
    }

    /// Tokens to reserve in the rate limits until the real ones are known: a token is about four
    /// bytes, and few answers are as long as they may be.
    pub(crate) fn likely_tokens(&self) -> u64 {
        let output = if self.named { self.output_tokens } else { self.output_tokens.min(DEFAULT_OUTPUT) };
        (self.input_tokens / 4).saturating_add(output.saturating_mul(self.answers))
    }

    fn lower(&mut self, output_tokens: u64, candidate: &Candidate) {
        self.output_tokens = output_tokens;
        // Also when it is what the caller named: perhaps under a key that this provider ignores,
        // or beside a higher one.
        self.limit = Some(output_tokens);
        self.amount = candidate.tariff.bound(&self.most(output_tokens));
        self.step = None;
    }

    /// Upper bound of the cost with so much output in all.
    pub(crate) fn bound_of(&self, output: u64, tariff: &Tariff) -> NanoUsd {
        let output_tokens = self.beyond.output_tokens.saturating_add(output);
        tariff.bound(&Usage { input_tokens: self.input_tokens, output_tokens, ..self.beyond })
    }

    /// The most output in all whose upper bound is within an amount.
    pub(crate) fn affordable_output(&self, amount: NanoUsd, tariff: &Tariff) -> u64 {
        let (mut low, mut high) = (0, self.all_output());
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.bound_of(middle, tariff) <= amount { low = middle } else { high = middle - 1 }
        }
        low
    }

    /// The same, held for so much output at first, where that is a good deal less than all of it.
    pub(crate) fn stepped(mut self, first: u64, candidate: &Candidate) -> Self {
        if first < self.all_output() / 4 * 3 {
            self.amount = self.bound_of(first, &candidate.tariff);
            self.step = Some(first);
        }
        self
    }

    /// The least amount with which a call like this is served.
    pub(crate) fn least_amount(&self, candidate: &Candidate) -> NanoUsd {
        if self.named { self.amount } else { candidate.tariff.bound(&self.most(self.least)).min(self.amount) }
    }

    /// The largest grant that costs at most `left`, where the caller named no limit of its own.
    pub(crate) fn affordable(mut self, left: NanoUsd, candidate: &Candidate) -> Option<Self> {
        if self.named {
            return None;
        }
        let fits = |output: u64| candidate.tariff.bound(&self.most(output)) <= left;
        if !fits(self.least) {
            return None;
        }
        let (mut low, mut high) = (self.least, self.output_tokens);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        self.lower(low, candidate);
        Some(self)
    }

    /// The budgets' parts of the hold.
    pub(crate) fn holds(&self, candidate: &Candidate) -> SmallVec<[BudgetHold; 4]> {
        let expected = match self.usual {
            Some(usual) => self.bound_of(usual.min(self.all_output()), &candidate.tariff).min(self.amount),
            None => self.amount,
        };
        candidate
            .budgets
            .iter()
            .map(|part| BudgetHold {
                budget_id: part.budget.id,
                window: part.window,
                limit: part.limit.countable(),
                limit_revision: part.limit.rank,
                amount: match (part.budget.hard, part.budget.mode) {
                    (false, _) => NanoUsd::ZERO,
                    (true, HoldMode::Strict) => self.amount,
                    (true, HoldMode::Expected) => expected,
                },
                hard: part.budget.hard,
            })
            .collect()
    }
}

/// Fields that may bill, under a hard budget, and fields that may retain, under ZDR, are
/// refused by name; so are unknown ones in both cases.
fn refuse_findings(call: &CallBody, policy: &EffectivePolicy, hard: bool) -> Result<(), Refused> {
    let retains = policy.zdr >= ZdrTier::ZdrWithSafetyRetention;
    let refused = call.findings.iter().find(|finding| match finding.kind {
        FindingKind::Unregistered => hard || retains,
        FindingKind::Bills => hard,
        FindingKind::Retains => retains,
    });
    let Some(finding) = refused else { return Ok(()) };
    let path = &finding.path;
    let message = match finding.kind {
        FindingKind::Unregistered => format!(
            "`{path}` is not a field that is known here; under a hard budget or zero data retention unknown fields are refused"
        ),
        FindingKind::Bills => format!("`{path}` may bill beyond tokens, and a hard budget covers this call"),
        FindingKind::Retains => {
            format!("`{path}` lets the provider keep content, and zero data retention is demanded")
        }
    };
    Err(Refusal::new(RefusalCause::BadRequest, message).code("field_refused").param(path.clone()))
}
