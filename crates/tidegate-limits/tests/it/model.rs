//! Random sequences against a small model of what budgets mean, and rates against an exact bucket.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_limits::{Admit, BudgetHold, End, Hold, LimitError, Limiter, Settlement};
use tidegate_testkit::redis::Server;
use tidegate_types::resource::OpenHold;
use tidegate_types::{BudgetId, CallId, Clock, NanoUsd, OrganizationId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::support::{
    HandClock, TIMING, admit, balance, call, connect, connect_granted, epoch as epoch_of, hard, key, month,
};

/// Budget 0: hard, one limit. Budget 1: hard, its limit changes. Budget 2: soft.
const BUDGETS: usize = 3;
const LIMIT: i64 = 10_000;
/// An end is remembered for so long by each store, and nobody asks later (`Timing::ended`).
const REMEMBERED_MILLIS: i64 = 250;

#[derive(Debug, Clone)]
enum Op {
    Admit { mask: u8, amount: i64, limit: i64, revision: u64, stale: bool },
    Repeat { pick: usize },
    Step { pick: usize, amount: i64 },
    Settle { pick: usize, end: u8, share: i64 },
    Pass { ms: u64 },
    Lose,
    Open { shipped: bool },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1u8..8, 0i64..4_000, 0i64..2 * LIMIT, 0u64..6, prop::bool::weighted(0.05))
            .prop_map(|(mask, amount, limit, revision, stale)| Op::Admit { mask, amount, limit, revision, stale }),
        2 => any::<usize>().prop_map(|pick| Op::Repeat { pick }),
        4 => (any::<usize>(), 0i64..2_000).prop_map(|(pick, amount)| Op::Step { pick, amount }),
        8 => (any::<usize>(), 0u8..4, 0i64..=100).prop_map(|(pick, end, share)| Op::Settle { pick, end, share }),
        2 => (1u64..90_000).prop_map(|ms| Op::Pass { ms }),
        1 => Just(Op::Lose),
        2 => any::<bool>().prop_map(|shipped| Op::Open { shipped }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Unresolved,
    Done,
}

#[derive(Debug, Clone)]
struct Attempt {
    hold: Hold,
    /// Epoch it was placed under.
    epoch: u64,
    /// Epoch whose counters have its hold.
    lives_in: u64,
    state: State,
    held: [Option<i64>; BUDGETS],
    settled_as: Option<Settlement>,
    ended_at: Option<Timestamp>,
    /// Settled while no epoch was open.
    in_between: bool,
}

/// What budgets mean.
#[derive(Default)]
struct Model {
    last_epoch: u64,
    open: bool,
    spent: [i64; BUDGETS],
    limits: [Option<(u64, i64)>; BUDGETS],
    attempts: Vec<Attempt>,
}

impl Model {
    fn sum(&self, budget: usize, state: State) -> i64 {
        self.attempts.iter().filter(|a| a.state == state).filter_map(|a| a.held[budget]).sum()
    }

    fn used(&self, budget: usize) -> i64 {
        self.spent[budget] + self.sum(budget, State::Open) + self.sum(budget, State::Unresolved)
    }

    /// Notes all limits; whether all hard budgets can afford it.
    fn affords(&mut self, hold: &Hold) -> bool {
        for part in &hold.budgets {
            let limit = &mut self.limits[index(part)];
            if limit.is_none_or(|(revision, _)| part.limit_revision > revision) {
                *limit = Some((part.limit_revision, part.limit.get()));
            }
        }
        hold.budgets.iter().filter(|part| part.hard).all(|part| {
            let limit = self.limits[index(part)].map_or(0, |(_, limit)| limit);
            self.used(index(part)) + part.amount.get() <= limit
        })
    }

    fn settle(&mut self, pick: usize, settlement: &Settlement, now: Timestamp) {
        let attempt = &mut self.attempts[pick];
        let after = if settlement.end == End::Unresolved { State::Unresolved } else { State::Done };
        if attempt.state == State::Done || attempt.state == after {
            return;
        }
        attempt.state = after;
        attempt.settled_as = Some(settlement.clone());
        attempt.ended_at = Some(now).filter(|_| after == State::Done);
        attempt.in_between = !self.open;
        if let End::Spent(cost) = settlement.end {
            for budget in (0..BUDGETS).filter(|b| attempt.held[*b].is_some()) {
                self.spent[budget] += cost.get();
            }
        }
    }

    /// Deadline and grace have passed.
    fn turn_overdue(&mut self, now: Timestamp) {
        let grace = i64::try_from(TIMING.grace.as_millis()).unwrap();
        for attempt in self.attempts.iter_mut().filter(|a| a.state == State::Open) {
            if attempt.hold.deadline.plus_millis(grace) <= now {
                attempt.state = State::Unresolved;
            }
        }
    }
}

fn index(part: &BudgetHold) -> usize {
    usize::try_from(part.budget_id.to_u128()).unwrap()
}

/// One run of a sequence against a store.
struct Run<'a> {
    limiter: &'a Limiter,
    clock: Option<&'a HandClock>,
    /// Holds are placed on grants wherever that is possible.
    granted: bool,
    organization: OrganizationId,
    model: Model,
}

impl Run<'_> {
    async fn go(&mut self, ops: &[Op]) {
        self.open(true).await;
        for op in ops {
            self.apply(op).await;
            self.compare(op).await;
        }
        if !self.model.open {
            self.open(false).await;
        }
        // Every hold resolves once: settled now, nothing stays behind.
        for pick in 0..self.model.attempts.len() {
            self.settle(pick, 0, 50);
        }
        self.compare(&Op::Lose).await;
        // What was unresolved when its epoch was lost stays with the ledger.
        let last = self.model.last_epoch;
        let resolved =
            |a: &Attempt| a.state == State::Done || (a.state == State::Unresolved && a.lives_in != last);
        assert!(self.model.attempts.iter().all(resolved));
    }

    async fn apply(&mut self, op: &Op) {
        let attempts = self.model.attempts.len();
        match *op {
            Op::Admit { mask, amount, limit, revision, stale } => {
                self.admit(mask, amount, limit, revision, stale).await;
            }
            Op::Repeat { pick } if attempts > 0 => self.repeat(pick % attempts).await,
            Op::Step { pick, amount } if attempts > 0 => self.step(pick % attempts, amount).await,
            Op::Settle { pick, end, share } if attempts > 0 => self.settle(pick % attempts, end, share),
            Op::Pass { ms } => {
                if let Some(clock) = self.clock {
                    clock.advance(Duration::from_millis(ms));
                    // While no epoch is open there are no counters to turn; deadlines go on.
                    if self.model.open {
                        self.model.turn_overdue(clock.now());
                    }
                }
            }
            Op::Lose if self.model.open => {
                self.limiter.idle().await;
                self.limiter.close_epoch(self.organization, self.model.last_epoch).await.unwrap();
                self.model.open = false;
            }
            Op::Open { shipped } if !self.model.open => self.open(shipped).await,
            _ => {}
        }
    }

    async fn ask(&self, hold: &Hold) -> Result<u64, LimitError> {
        let asked =
            Admit { organization_id: self.organization, ..admit(hold.call_id, &[], 0, Some(hold.clone())) };
        self.limiter.admit(&asked).await.map(|admitted| admitted.held.epoch)
    }

    async fn admit(&mut self, mask: u8, amount: i64, limit: i64, revision: u64, stale: bool) {
        // Nothing fits on every grant, also beyond a limit that was lowered: no money moves.
        let amount = if self.granted { amount.max(1) } else { amount };
        let part = |budget: usize| {
            let (limit, revision) = if budget == 0 { (LIMIT, 1) } else { (limit, revision) };
            let limit_revision = revision;
            BudgetHold {
                limit_revision,
                hard: budget < 2,
                ..hard(u128::try_from(budget).unwrap(), limit, amount)
            }
        };
        let budgets = (0..BUDGETS).filter(|b| mask & (1 << b) != 0).map(part).collect();
        // A later epoch than the store's ends what a process has in advance, for good.
        let stale = stale && !(self.granted && self.model.last_epoch == 1);
        let epoch = match (stale, self.granted) {
            (false, _) => self.model.last_epoch,
            (true, false) => self.model.last_epoch + 1,
            (true, true) => self.model.last_epoch - 1,
        };
        let deadline = self.limiter.now().plus_millis(60_000);
        let hold = Hold { call_id: call(), attempt: 0, step: 0, epoch, deadline, budgets };
        let result = self.ask(&hold).await;
        if !self.model.open {
            assert_eq!(result, Err(LimitError::NoEpoch { found: 0 }));
        } else if stale {
            assert_eq!(result, Err(LimitError::NoEpoch { found: self.model.last_epoch }));
        } else if self.model.affords(&hold) {
            assert_eq!(result, Ok(self.model.last_epoch));
            let mut held = [None; BUDGETS];
            hold.budgets.iter().for_each(|part| held[index(part)] = Some(part.amount.get()));
            let epoch = self.model.last_epoch;
            let (settled_as, ended_at) = (None, None);
            self.model.attempts.push(Attempt {
                hold,
                epoch,
                lives_in: epoch,
                state: State::Open,
                held,
                settled_as,
                ended_at,
                in_between: false,
            });
        } else {
            assert!(matches!(result, Err(LimitError::Refused(_))), "{result:?}");
        }
    }

    /// Whether nobody asks for it any more.
    fn is_late(&self, attempt: &Attempt) -> bool {
        let now = self.limiter.now();
        let forgotten = |ended| now.millis_since(ended) >= REMEMBERED_MILLIS;
        attempt.hold.deadline <= now || attempt.ended_at.is_some_and(forgotten)
    }

    async fn repeat(&self, pick: usize) {
        let attempt = &self.model.attempts[pick];
        let late = self.is_late(attempt);
        if late || !self.model.open || attempt.epoch != self.model.last_epoch || attempt.hold.step != 0 {
            return;
        }
        self.limiter.idle().await;
        let result = self.ask(&attempt.hold).await;
        match attempt.state {
            State::Open => assert_eq!(result, Ok(attempt.epoch)),
            _ => assert_eq!(result, Err(LimitError::HoldEnded)),
        }
    }

    async fn step(&mut self, pick: usize, amount: i64) {
        let amount = if self.granted { amount.max(1) } else { amount };
        let (open, epoch) = (self.model.open, self.model.last_epoch);
        let mut hold = self.model.attempts[pick].hold.clone();
        let state = self.model.attempts[pick].state;
        if self.is_late(&self.model.attempts[pick]) {
            return;
        }
        hold.step += 1;
        hold.epoch = epoch;
        hold.budgets.iter_mut().for_each(|part| part.amount = NanoUsd::new(amount));
        self.limiter.idle().await;
        if self.model.attempts[pick].epoch != epoch && state != State::Open {
            return;
        }
        let result = epoch_of(self.limiter.hold(self.organization, &hold).await);
        if !open {
            assert_eq!(result, Err(LimitError::NoEpoch { found: 0 }));
        } else if state != State::Open {
            assert_eq!(result, Err(LimitError::HoldEnded));
        } else if self.model.affords(&hold) {
            assert_eq!(result, Ok(epoch));
            let attempt = &mut self.model.attempts[pick];
            attempt.hold.step = hold.step;
            attempt.held.iter_mut().flatten().for_each(|held| *held += amount);
            // The same step once more adds nothing.
            assert_eq!(epoch_of(self.limiter.hold(self.organization, &hold).await), Ok(epoch));
        } else {
            assert!(matches!(result, Err(LimitError::Refused(_))), "{result:?}");
        }
    }

    fn settle(&mut self, pick: usize, end: u8, share: i64) {
        let attempt = &self.model.attempts[pick];
        let least = attempt.held.iter().flatten().min().copied().unwrap_or(0);
        let end = match end {
            0 | 1 => End::Spent(NanoUsd::new(least * share / 100)),
            2 => End::Void,
            _ => End::Unresolved,
        };
        let settlement = attempt.hold.settlement(self.organization, attempt.epoch, end);
        // A late word about what was unresolved in a burnt epoch is the ledger's business.
        let gone = attempt.lives_in != self.model.last_epoch && attempt.state == State::Unresolved;
        self.limiter.settle(settlement.clone());
        if !gone {
            self.model.settle(pick, &settlement, self.limiter.now());
        }
    }

    /// Opens the next epoch from what the ledger knows. What was settled while no epoch was open
    /// has either been shipped (and is in the balance) or has not (and its hold is still open).
    async fn open(&mut self, shipped: bool) {
        let model = &mut self.model;
        model.last_epoch += 1;
        let mut spent = model.spent;
        let mut unresolved = [0; BUDGETS];
        let mut holds = Vec::new();
        for attempt in &mut model.attempts {
            let late = attempt.in_between && !shipped && attempt.state == State::Done;
            for budget in 0..BUDGETS {
                let Some(amount) = attempt.held[budget] else { continue };
                if attempt.state == State::Open || late {
                    holds.push(open_hold(attempt, budget, amount));
                    attempt.lives_in = model.last_epoch;
                } else if attempt.state == State::Unresolved {
                    unresolved[budget] += amount;
                }
                if let (true, Some(End::Spent(cost))) = (late, attempt.settled_as.as_ref().map(|s| s.end)) {
                    spent[budget] -= cost.get();
                }
            }
            attempt.in_between = false;
        }
        let balances: Vec<_> =
            (0..BUDGETS).map(|b| balance(u128::try_from(b).unwrap(), spent[b], unresolved[b])).collect();
        self.limiter.open_epoch(self.organization, model.last_epoch, &balances, &holds).await.unwrap();
        if self.granted {
            self.limiter.allow_grants(self.organization, model.last_epoch, 100);
        }
        model.open = true;
        model.limits = [None; BUDGETS];
        if let Some(clock) = self.clock {
            model.turn_overdue(clock.now());
        }
    }

    async fn compare(&mut self, op: &Op) {
        assert!(self.model.used(0) <= LIMIT, "budget 0 is over its limit after {op:?}");
        if !self.model.open {
            return;
        }
        crate::support::eventually("the queue drains", async || {
            self.limiter.idle().await;
            self.limiter.stats().waiting == 0 && self.limiter.stats().queued == 0
        })
        .await;
        let asked: Vec<_> =
            (0..BUDGETS).map(|b| (BudgetId::from_u128(u128::try_from(b).unwrap()), month())).collect();
        let balances = self.limiter.balances(self.organization, &asked).await.unwrap();
        for (budget, balance) in balances.iter().enumerate() {
            let store = (balance.spent.get(), balance.held.get(), balance.unresolved.get());
            let model = &self.model;
            let expected =
                (model.spent[budget], model.sum(budget, State::Open), model.sum(budget, State::Unresolved));
            assert_eq!(store, expected, "budget {budget} after {op:?}");
        }
    }
}

fn open_hold(attempt: &Attempt, budget: usize, amount: i64) -> OpenHold {
    OpenHold {
        call_id: attempt.hold.call_id,
        attempt: 0,
        budget_id: BudgetId::from_u128(u128::try_from(budget).unwrap()),
        window_start: month().start,
        window_end: month().end,
        amount: NanoUsd::new(amount),
        deadline: attempt.hold.deadline,
    }
}

fn organization() -> OrganizationId {
    OrganizationId::from_u128(CallId::to_u128(call()) << 64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_does_what_the_model_does(ops in vec(op(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = HandClock::new();
        let limiter = Limiter::memory("boot".into(), Arc::clone(&clock) as Arc<dyn Clock>, TIMING);
        let mut run = Run { limiter: &limiter, clock: Some(&clock), granted: false, organization: organization(), model: Model::default() };
        runtime.block_on(run.go(&ops));
    }

    #[test]
    fn requests_pass_exactly_as_an_exact_bucket_allows(
        limit in prop::sample::select(vec![1u32, 2, 3, 10, 60, 600, 6000]),
        gaps in vec(0u64..30_000_000, 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = HandClock::new();
        let limiter = Limiter::memory("boot".into(), Arc::clone(&clock) as Arc<dyn Clock>, TIMING);
        // Level in units of 1/60,000,000 request.
        let minute = 60_000_000u64;
        let (full, mut level) = (u64::from(limit) * minute, u64::from(limit) * minute);
        for gap in gaps {
            let gap = gap / u64::from(limit);
            clock.advance(Duration::from_micros(gap));
            level = (level + gap * u64::from(limit)).min(full);
            let passed = runtime.block_on(limiter.admit(&admit(call(), &[key(Some(limit), None, None)], 0, None))).is_ok();
            prop_assert_eq!(passed, level >= minute);
            if passed {
                level -= minute;
            }
        }
    }
}

#[test]
fn redis_does_what_the_model_does() {
    redis_against_the_model(false);
}

#[test]
fn redis_with_grants_does_what_the_model_does() {
    redis_against_the_model(true);
}

/// 40 sequences, or as many as `PROPTEST_CASES` asks for. With grants 1,000 at most: money that is asked back makes each
/// take half a second.
fn cases(granted: bool) -> u32 {
    let asked = std::env::var_os("PROPTEST_CASES").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(40);
    if granted { asked.min(1_000) } else { asked }
}

fn redis_against_the_model(granted: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Server::start().unwrap();
    let stop = CancellationToken::new();
    let limiter = match granted {
        false => runtime.block_on(connect(&server, 11, &stop)),
        true => runtime.block_on(connect_granted(&server, 11, &stop)),
    };
    let config = ProptestConfig {
        cases: cases(granted),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&vec(op(), 1..60), |ops| {
        let mut run = Run {
            limiter: &limiter,
            clock: None,
            granted,
            organization: organization(),
            model: Model::default(),
        };
        runtime.block_on(run.go(&ops));
        Ok(())
    });
    stop.cancel();
    result.unwrap();
    // Positive control: grants were used, or were not.
    assert_eq!(limiter.stats().held_locally > 100, granted, "{:?}", limiter.stats());
}
