//! Counters and holds of one organization in memory, under one epoch.

use std::collections::BTreeSet;

use ahash::AHashMap;
use smallvec::SmallVec;
use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, NanoUsd, OrganizationId, Timestamp};

use crate::budget::{Balance, BudgetHold, End, Hold, Settlement};
use crate::error::{LimitError, Refusal};
use crate::expiry;
use crate::left::{Ended, LeftHold, Process};
use crate::memory::ends::{Ends, Id};

/// A budget and the start of one of its windows, in microseconds.
pub(crate) type CounterKey = (BudgetId, i64);

#[derive(Default)]
struct Counter {
    spent: i64,
    held: i64,
    unresolved: i64,
    limit: Option<(u64, i64)>,
    expires: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Unresolved,
}

struct Entry {
    state: State,
    step: u16,
    deadline: i64,
    expires: i64,
    parts: SmallVec<[(CounterKey, i64); 1]>,
    /// Who placed it; gone when somebody has said how the attempt ended.
    placed_by: Option<Process>,
}

/// All budgets of an organization. Settlements that arrive while no epoch is open wait for one.
#[derive(Default)]
pub(crate) struct Budgets {
    epoch: Option<u64>,
    counters: AHashMap<CounterKey, Counter>,
    /// Of attempts that have not ended for good.
    holds: AHashMap<Id, Entry>,
    ends: Ends,
    deadlines: BTreeSet<(i64, u128, u16)>,
    waiting: Vec<Settlement>,
    /// How many counters and holds there may be before what is past keeping is looked for.
    forget_at: usize,
}

/// Counters and holds that are kept without a look.
const FEW: usize = 1024;

/// Settlements kept while no epoch is open; beyond, the ledger alone carries them.
const MOST_WAITING: usize = 100_000;

pub(crate) fn key(budget: BudgetId, window: Window) -> CounterKey {
    (budget, window.start.as_micros())
}

impl Budgets {
    /// The open epoch, when the caller's is the same or unknown (0).
    pub(crate) fn epoch(&self, expected: u64) -> Result<u64, LimitError> {
        match self.epoch {
            Some(open) if expected == 0 || expected == open => Ok(open),
            found => Err(LimitError::NoEpoch { found: found.unwrap_or(0) }),
        }
    }

    /// Whether this step was already placed.
    pub(crate) fn has_step(&self, hold: &Hold) -> Result<bool, LimitError> {
        let id = (hold.call_id, hold.attempt);
        match self.holds.get(&id) {
            Some(entry) if entry.state == State::Open => Ok(hold.step <= entry.step),
            None if !self.ends.contains(id) => Ok(false),
            _ => Err(LimitError::HoldEnded),
        }
    }

    /// Notes limits, then says which hard budget cannot afford the hold.
    pub(crate) fn check(&mut self, hold: &Hold) -> Result<(), Refusal> {
        for part in &hold.budgets {
            let counter = self.counters.entry(key(part.budget_id, part.window)).or_default();
            counter.expires = counter.expires.max(expiry::of_window(part.window, Timestamp::default(), 0));
            if counter.limit.is_none_or(|(revision, _)| part.limit_revision > revision) {
                counter.limit = Some((part.limit_revision, part.limit.get()));
            }
        }
        for part in hold.budgets.iter().filter(|part| part.hard) {
            let Some(counter) = self.counters.get(&key(part.budget_id, part.window)) else { continue };
            let limit = counter.limit.map_or(0, |(_, limit)| limit);
            let used = counter.spent.saturating_add(counter.held).saturating_add(counter.unresolved);
            if part.amount.get() > limit.saturating_sub(used) {
                return Err(Refusal::Budget {
                    budget_id: part.budget_id,
                    limit: NanoUsd::new(limit),
                    spent: NanoUsd::new(counter.spent),
                    held: NanoUsd::new(counter.held),
                    unresolved: NanoUsd::new(counter.unresolved),
                    resets_at: (part.window.end.as_micros() != i64::MAX).then_some(part.window.end),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn place(&mut self, hold: &Hold, grace: i64) {
        let (deadline, id) = (hold.deadline.as_micros(), (hold.call_id, hold.attempt));
        let entry = self.holds.entry(id).or_insert_with(|| Entry {
            state: State::Open,
            step: hold.step,
            deadline,
            expires: 0,
            parts: SmallVec::new(),
            placed_by: None,
        });
        entry.step = hold.step;
        entry.expires = entry.expires.max(expiry::of_hold(&hold.budgets, hold.deadline, grace));
        if entry.deadline < deadline {
            self.deadlines.remove(&(entry.deadline, id.0.to_u128(), id.1));
            entry.deadline = deadline;
        }
        self.deadlines.insert((entry.deadline, id.0.to_u128(), id.1));
        for part in &hold.budgets {
            let (at, amount) = (key(part.budget_id, part.window), part.amount.get());
            match entry.parts.iter_mut().find(|(held_at, _)| *held_at == at) {
                Some((_, held)) => *held += amount,
                None => entry.parts.push((at, amount)),
            }
            let counter = self.counters.entry(at).or_default();
            counter.held += amount;
            counter.expires = counter.expires.max(expiry::of_window(part.window, hold.deadline, grace));
        }
    }

    /// `ended`: how long an end is remembered, microseconds.
    pub(crate) fn settle(&mut self, settlement: Settlement, now: i64, ended: i64) {
        let Some(open) = self.epoch.filter(|open| *open >= settlement.epoch) else {
            if self.waiting.len() < MOST_WAITING {
                self.waiting.push(settlement);
            }
            return;
        };
        let id = (settlement.call_id, settlement.attempt);
        let until = now.saturating_add(expiry::of_end(settlement.epoch, ended));
        let Some(entry) = self.holds.get_mut(&id) else {
            // Without a hold under this epoch only an attempt that never had one may count.
            if self.ends.contains(id) || (settlement.epoch != 0 && settlement.epoch != open) {
                return;
            }
            if settlement.epoch == 0 {
                self.count(&settlement);
            }
            self.ends.note(id, settlement.epoch, until, now);
            return;
        };
        entry.placed_by = None;
        let before = entry.state;
        if before == State::Unresolved && settlement.end == End::Unresolved {
            return;
        }
        for (at, amount) in &entry.parts {
            let counter = self.counters.entry(*at).or_default();
            match before {
                State::Open => counter.held -= amount,
                State::Unresolved => counter.unresolved -= amount,
            }
            match settlement.end {
                End::Spent(cost) => counter.spent += cost.get(),
                End::Unresolved => counter.unresolved += amount,
                End::Void => {}
            }
        }
        entry.state = State::Unresolved;
        self.deadlines.remove(&(entry.deadline, id.0.to_u128(), id.1));
        if settlement.end != End::Unresolved {
            self.holds.remove(&id);
            self.ends.note(id, settlement.epoch, until, now);
        }
    }

    fn count(&mut self, settlement: &Settlement) {
        let End::Spent(cost) = settlement.end else { return };
        for (budget, window) in &settlement.budgets {
            let counter = self.counters.entry(key(*budget, *window)).or_default();
            counter.spent += cost.get();
            counter.expires = counter.expires.max(expiry::of_window(*window, Timestamp::default(), 0));
        }
    }

    /// Holds past deadline and grace become unresolved.
    pub(crate) fn turn_overdue(&mut self, now: i64, grace: i64) {
        while let Some((deadline, call, attempt)) = self.deadlines.first().copied() {
            if deadline.saturating_add(grace) > now {
                return;
            }
            self.deadlines.pop_first();
            let Some(entry) = self.holds.get_mut(&(CallId::from_u128(call), attempt)) else { continue };
            entry.state = State::Unresolved;
            for (at, amount) in &entry.parts {
                let counter = self.counters.entry(*at).or_default();
                counter.held -= amount;
                counter.unresolved += amount;
            }
        }
    }

    /// Notes who placed a new hold.
    pub(crate) fn note_placer(&mut self, hold: &Hold, process: Option<Process>) {
        if hold.step == 0
            && let Some(entry) = self.holds.get_mut(&(hold.call_id, hold.attempt))
        {
            entry.placed_by = process;
        }
    }

    /// Holds of ended processes that nobody has ended.
    pub(crate) fn left(&self, organization_id: OrganizationId, ended: Ended) -> Vec<LeftHold> {
        let Some(epoch) = self.epoch else { return Vec::new() };
        let end = Timestamp::from_micros(i64::MAX);
        let left = |(&(call_id, attempt), entry): (&(CallId, u16), &Entry)| {
            let placed_by = entry.placed_by.filter(|process| ended.covers(*process))?;
            let window = |start| Window { start: Timestamp::from_micros(start), end };
            let budgets = entry.parts.iter().map(|((budget, start), _)| (*budget, window(*start))).collect();
            Some(LeftHold { organization_id, call_id, attempt, placed_by, epoch, budgets })
        };
        self.holds.iter().filter_map(left).collect()
    }

    pub(crate) fn balance(&self, budget_id: BudgetId, window: Window) -> Balance {
        let counter = self.counters.get(&key(budget_id, window));
        let read = |field: fn(&Counter) -> i64| NanoUsd::new(counter.map_or(0, field));
        Balance {
            budget_id,
            window,
            spent: read(|c| c.spent),
            held: read(|c| c.held),
            unresolved: read(|c| c.unresolved),
            limit: counter.and_then(|c| c.limit).map(|(_, limit)| NanoUsd::new(limit)),
        }
    }

    /// The least that is left in these hard budgets.
    pub(crate) fn room(&self, budgets: &[BudgetHold]) -> Option<i64> {
        let left = |part: &BudgetHold| {
            let counter = self.counters.get(&key(part.budget_id, part.window));
            let used = counter.map_or(0, |counter| counter.spent + counter.held + counter.unresolved);
            let limit =
                counter.and_then(|counter| counter.limit).map_or(part.limit.get(), |(_, limit)| limit);
            limit.saturating_sub(used)
        };
        budgets.iter().filter(|part| part.hard).map(left).min()
    }

    /// Whether there is, or was lately, a hold of this attempt.
    pub(crate) fn knows(&self, call: CallId, attempt: u16) -> bool {
        self.holds.contains_key(&(call, attempt)) || self.ends.contains((call, attempt))
    }

    /// Attempts that have not ended for good, with their deadlines.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (Id, i64)> + '_ {
        self.holds.iter().map(|(id, entry)| (*id, entry.deadline))
    }

    /// Spent, held and unresolved of a window; `None`: never used, or forgotten.
    pub(crate) fn figures(&self, at: CounterKey) -> Option<[i64; 3]> {
        self.counters.get(&at).map(|counter| [counter.spent, counter.held, counter.unresolved])
    }

    /// Begins an epoch with these counters; the same epoch again changes nothing.
    pub(crate) fn open(
        &mut self,
        epoch: u64,
        balances: &[OpeningBalance],
        holds: &[OpenHold],
        now: i64,
        grace: i64,
    ) -> Result<(), LimitError> {
        match self.epoch {
            Some(open) if open == epoch => return Ok(()),
            Some(open) if open > epoch => return Err(LimitError::NoEpoch { found: open }),
            _ => {}
        }
        self.clear();
        self.epoch = Some(epoch);
        for balance in balances {
            let window = Window { start: balance.window_start, end: balance.window_end };
            let counter = self.counters.entry(key(balance.budget_id, window)).or_default();
            counter.spent += balance.spent.get();
            counter.unresolved += balance.unresolved.get();
            counter.expires = expiry::of_window(window, Timestamp::default(), 0);
        }
        for hold in crate::epoch::grouped(holds) {
            self.place(&hold, grace);
        }
        for settlement in std::mem::take(&mut self.waiting) {
            self.settle(settlement, now, grace);
        }
        Ok(())
    }

    /// Burns this epoch, when it is the open one.
    pub(crate) fn close(&mut self, epoch: u64) {
        if self.epoch == Some(epoch) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.epoch = None;
        self.counters.clear();
        self.holds.clear();
        self.ends.clear();
        self.deadlines.clear();
    }

    /// Forgets when there is twice as much as after the last time: each call pays for a few.
    pub(crate) fn forget_in_passing(&mut self, now: i64) {
        if self.counters.len() + self.holds.len() >= self.forget_at.max(FEW) {
            self.forget(now);
            self.forget_at = 2 * (self.counters.len() + self.holds.len());
        }
    }

    /// Counters, holds and remembered ends there are.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.counters.len() + self.holds.len() + self.ends.len()
    }

    pub(crate) fn forget(&mut self, now: i64) {
        self.counters.retain(|_, counter| counter.expires > now || counter.held != 0);
        self.holds.retain(|_, entry| entry.expires > now || entry.state == State::Open);
        self.ends.forget(now, usize::MAX);
    }
}
