//! What one organization's budgets have advanced to this process, and what was used of it.
//!
//! Pure: holds are placed and ended here by the same counters as in memory, against what was
//! granted instead of the limit. Knows the exchange's rows, not how they travel.

use ahash::AHashMap;
use smallvec::SmallVec;
use tidegate_types::window::Window;
use tidegate_types::{CallId, NanoUsd};

use super::traffic::{SECOND, Traffic};
use crate::budget::{BudgetHold, Hold, Settlement};
use crate::error::LimitError;
use crate::expiry;
use crate::memory::budgets::{Budgets, CounterKey, key};
use crate::settings::GrantSettings;

/// After a recall nothing is asked for, for so long.
const RECALLED: i64 = 10 * SECOND;
/// A grant is for so many of the largest holds at least.
const LEAST_CALLS: i64 = 4;
/// An ended attempt is remembered for so long, at least until whatever asked for it here has heard: its id is
/// never used again on purpose, and all of them are looked through with every call.
pub(super) const ENDED: i64 = 30 * SECOND;
/// Most windows in one exchange.
const ROWS: usize = 64;

/// An attempt that has not ended, and its deadline (microseconds of the store's time).
type Unfinished = ((CallId, u16), i64);

/// One budget's window.
#[derive(Debug)]
struct Account {
    window: Window,
    limit: i64,
    revision: u64,
    hard: bool,
    expires: i64,
    /// Granted in all, what is used included. The store never has less.
    granted: i64,
    /// Granted as the store has it; `None`: an answer is missing.
    known: Option<i64>,
    /// Spent and unresolved as the store was last told.
    told: (i64, i64),
    /// Asked for since the last exchange, and how much a second lately.
    demand: i64,
    rate: i64,
    largest: i64,
    /// Holds asked for.
    traffic: Traffic,
    exchanged_at: i64,
    recalled_at: Option<i64>,
}

/// What an exchange says of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at: CounterKey,
    pub(super) window: Window,
    pub(super) hard: bool,
    pub(super) spent: i64,
    pub(super) unresolved: i64,
    pub(super) keep: i64,
    pub(super) want: i64,
    pub(super) least: i64,
    pub(super) limit: i64,
    pub(super) revision: u64,
    pub(super) expires: i64,
}

/// An exchange with the store, told from later ones by its number.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) epoch: u64,
    pub(super) number: u64,
    pub(super) percent: u8,
    /// One in so many of what is free may be taken.
    pub(super) share: u32,
    pub(super) rows: SmallVec<[Row; 4]>,
}

/// What the store answers for one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) granted: i64,
    pub(super) spent: i64,
    pub(super) held: i64,
    pub(super) unresolved: i64,
    pub(super) out: i64,
    pub(super) limit: i64,
    pub(super) recalled: bool,
}

/// What an exchange is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aim<'a> {
    /// As the traffic of late suggests.
    Usual,
    /// Everything back that is not held.
    Return,
    /// Exactly what this hold lacks.
    Need(&'a Hold),
}

/// What came of placing a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is held here, now or already before.
    Held { again: bool },
    /// It is another attempt's step, or not enough is granted: the store decides.
    NotHere,
    /// A further step of an attempt that is held here, and not enough is granted.
    Short,
}

/// An organization's grants under one epoch.
pub(super) struct Book {
    pub(super) epoch: u64,
    percent: u8,
    budgets: Budgets,
    accounts: AHashMap<CounterKey, Account>,
    /// Ended here; the store was not told yet, or has not answered.
    unconfirmed: Vec<Settlement>,
    /// How many of these the exchange under way tells.
    telling: usize,
    number: u64,
}

impl Account {
    fn new(part: &BudgetHold, now: i64) -> Self {
        Self {
            window: part.window,
            limit: part.limit.get(),
            revision: part.limit_revision,
            hard: part.hard,
            expires: 0,
            granted: 0,
            known: Some(0),
            told: (0, 0),
            demand: 0,
            rate: 0,
            largest: 0,
            traffic: Traffic::new(now),
            exchanged_at: now,
            recalled_at: None,
        }
    }

    /// How much should be free here.
    fn target(&mut self, now: i64, settings: &GrantSettings) -> i64 {
        let elapsed = (now - self.exchanged_at).max(SECOND / 1000);
        let lately = i128::from(self.demand) * i128::from(SECOND) / i128::from(elapsed);
        let lately = i64::try_from(lately).unwrap_or(i64::MAX);
        self.rate = (self.rate / 4).saturating_mul(3).saturating_add(lately / 4);
        let idle = self.traffic.is_idle(now, settings);
        let recalled = self.recalled_at.is_some_and(|at| now - at < RECALLED);
        if !self.hard || idle || recalled || self.window.end.as_micros() <= now {
            return 0;
        }
        let ahead = i64::try_from(settings.ahead.as_secs()).unwrap_or(1).max(1);
        self.rate.saturating_mul(ahead).max(self.largest.saturating_mul(LEAST_CALLS)).min(self.limit)
    }
}

impl Book {
    pub(super) fn new(epoch: u64, percent: u8) -> Self {
        let mut budgets = Budgets::default();
        // An empty one takes any epoch.
        let _ = budgets.open(epoch, &[], &[], 0, 0);
        Self {
            epoch,
            percent,
            budgets,
            accounts: AHashMap::new(),
            unconfirmed: Vec::new(),
            telling: 0,
            number: 0,
        }
    }

    fn used(&self, at: CounterKey) -> i64 {
        self.budgets.figures(at).map_or(0, |figures| figures.iter().sum())
    }

    fn note(&mut self, part: &BudgetHold, hold: &Hold, now: i64, grace: i64) {
        let at = key(part.budget_id, part.window);
        let used = self.used(at);
        let account = self.accounts.entry(at).or_insert_with(|| Account::new(part, now));
        if part.limit_revision > account.revision {
            // Whoever knows of a lower limit stops at once; the store decides from here on.
            if part.limit.get() < account.limit {
                account.granted = account.granted.min(used.max(0));
                account.recalled_at = Some(now);
            }
            (account.limit, account.revision, account.hard) =
                (part.limit.get(), part.limit_revision, part.hard);
        }
        account.expires = account.expires.max(expiry::of_window(part.window, hold.deadline, grace));
        account.demand = account.demand.saturating_add(part.amount.get());
        account.largest = (account.largest - account.largest / 64).max(part.amount.get());
        account.traffic.note(now);
    }

    /// Places a hold, if every budget has granted enough.
    pub(super) fn place(&mut self, hold: &Hold, now: i64, grace: i64) -> Result<Placed, LimitError> {
        if self.budgets.has_step(hold)? {
            return Ok(Placed::Held { again: true });
        }
        let known = self.budgets.knows(hold.call_id, hold.attempt);
        if hold.step > 0 && !known {
            return Ok(Placed::NotHere);
        }
        for part in &hold.budgets {
            self.note(part, hold, now, grace);
        }
        let fits = |part: &BudgetHold| {
            let at = key(part.budget_id, part.window);
            let granted = self.accounts.get(&at).map_or(0, |account| account.granted);
            !part.hard || part.amount.get() <= granted.saturating_sub(self.used(at))
        };
        if !hold.budgets.iter().all(fits) {
            return Ok(if known { Placed::Short } else { Placed::NotHere });
        }
        self.budgets.place(hold, grace);
        Ok(Placed::Held { again: false })
    }

    /// Ends a hold that was placed here; false: it was not.
    pub(super) fn settle(&mut self, settlement: &Settlement, now: i64) -> bool {
        let ours = self.epoch == settlement.epoch;
        if !ours || !self.budgets.knows(settlement.call_id, settlement.attempt) {
            return false;
        }
        self.budgets.settle(settlement.clone(), now, ENDED);
        self.unconfirmed.push(settlement.clone());
        true
    }

    /// Whether this window's grant runs low.
    pub(super) fn is_low(&self) -> bool {
        self.accounts.iter().any(|(at, account)| {
            let free = account.granted.saturating_sub(self.used(*at));
            account.hard && account.demand > 0 && free < account.largest.saturating_mul(2)
        })
    }

    /// Everything granted that is not held comes back with the next exchange.
    pub(super) fn recall(&mut self, now: i64) {
        self.accounts.values_mut().for_each(|account| account.recalled_at = Some(now));
    }

    /// Turns overdue holds and forgets what is long over.
    pub(super) fn sweep(&mut self, now: i64, grace: i64) {
        self.budgets.turn_overdue(now, grace);
        self.budgets.forget(now);
        let budgets = &self.budgets;
        self.accounts.retain(|at, account| account.expires > now || budgets.figures(*at).is_some());
    }

    /// The next exchange; `None`: there is nothing to say. What it gives back is not used from
    /// now on, whatever becomes of it.
    pub(super) fn exchange(
        &mut self,
        aim: Aim<'_>,
        now: i64,
        share: u32,
        settings: &GrantSettings,
    ) -> Option<Exchange> {
        let mut rows: SmallVec<[Row; 4]> = SmallVec::new();
        let keys: SmallVec<[CounterKey; 8]> = self.accounts.keys().copied().collect();
        for at in keys {
            if rows.len() < ROWS {
                rows.extend(self.row(at, aim, now, settings));
            }
        }
        if rows.is_empty() {
            // The store's figures are these already.
            self.unconfirmed.clear();
            return None;
        }
        self.number += 1;
        self.telling = self.unconfirmed.len();
        let (percent, share) = if matches!(aim, Aim::Need(_)) { (100, 1) } else { (self.percent, share) };
        Some(Exchange { epoch: self.epoch, number: self.number, percent, share: share.max(1), rows })
    }

    fn row(&mut self, at: CounterKey, aim: Aim<'_>, now: i64, settings: &GrantSettings) -> Option<Row> {
        let [spent, held, unresolved] = self.budgets.figures(at).unwrap_or_default();
        let used = spent + held + unresolved;
        let account = self.accounts.get_mut(&at)?;
        let free = (account.granted - used).max(0);
        let asked = account.demand > 0;
        let (target, least) = match aim {
            Aim::Usual => (account.target(now, settings), account.largest.max(1)),
            Aim::Return => (0, 1),
            Aim::Need(hold) => {
                let part = hold.budgets.iter().find(|part| key(part.budget_id, part.window) == at);
                let lacks = part.map_or(free, |part| part.amount.get());
                (lacks.max(free), lacks.saturating_sub(free).max(1))
            }
        };
        // A surplus that an ended call left is kept up to as much again.
        let kept = if account.hard { free.min(target.saturating_mul(2)) } else { 0 };
        let want = if asked { target.saturating_sub(kept) } else { 0 };
        let keep = used + kept;
        let silent = account.told == (spent, unresolved) && account.known == Some(keep) && want == 0;
        (account.demand, account.exchanged_at) = (0, now);
        if silent {
            return None;
        }
        (account.granted, account.known) = (keep, None);
        Some(Row {
            at,
            window: account.window,
            hard: account.hard,
            spent,
            unresolved,
            keep,
            want,
            least,
            limit: account.limit,
            revision: account.revision,
            expires: account.expires,
        })
    }

    /// The store has answered an exchange, the newest one. Of how many windows it asked money back.
    pub(super) fn answered(&mut self, exchange: &Exchange, answers: &[Granted], now: i64) -> u64 {
        let mut recalls = 0;
        if exchange.number != self.number {
            return recalls;
        }
        let told = self.telling.min(self.unconfirmed.len());
        self.unconfirmed.drain(..told);
        self.telling = 0;
        for (row, answer) in exchange.rows.iter().zip(answers) {
            let Some(account) = self.accounts.get_mut(&row.at) else { continue };
            account.told = (row.spent, row.unresolved);
            account.known = Some(answer.granted);
            // Lowered since, because a lower limit became known: it stays.
            if account.granted == row.keep && account.revision == row.revision {
                account.granted = answer.granted;
            }
            let before = account.recalled_at.filter(|at| now - at < RECALLED);
            if answer.recalled {
                recalls += u64::from(before.is_none());
                account.recalled_at = Some(now);
            } else {
                account.recalled_at = before;
            }
        }
        recalls
    }

    /// Whether the store should hear of this again soon.
    pub(super) fn is_due(&self) -> bool {
        !self.unconfirmed.is_empty()
            || self.accounts.iter().any(|(at, account)| {
                let [spent, _, unresolved] = self.budgets.figures(*at).unwrap_or_default();
                let answer_is_missing = account.known != Some(account.granted);
                answer_is_missing
                    || account.demand > 0
                    || account.told != (spent, unresolved)
                    || account.granted != self.used(*at)
            })
    }

    /// Granted and not held, of all windows.
    pub(super) fn free(&self) -> i64 {
        let free = |(at, account): (&CounterKey, &Account)| (account.granted - self.used(*at)).max(0);
        self.accounts.iter().map(free).sum()
    }

    /// The epoch is over: settlements that the store may not know of, and the attempts that
    /// have yet to end, with their deadlines. The store has them from the ledger now.
    pub(super) fn close(self) -> (Vec<Settlement>, Vec<Unfinished>) {
        let unfinished = self.budgets.unfinished().collect();
        (self.unconfirmed, unfinished)
    }
}

/// The refusal of the first window that has too little for what a step lacks.
pub(super) fn refusal(
    exchange: &Exchange,
    answers: &[Granted],
    hold: &Hold,
) -> Option<crate::error::Refusal> {
    exchange.rows.iter().zip(answers).find_map(|(row, answer)| {
        let short = row.hard && answer.granted < row.keep.saturating_add(row.want);
        let part: Option<&BudgetHold> =
            hold.budgets.iter().find(|part| key(part.budget_id, part.window) == row.at && part.hard);
        part.filter(|_| short).map(|part| crate::error::Refusal::Budget {
            budget_id: part.budget_id,
            limit: NanoUsd::new(answer.limit),
            spent: NanoUsd::new(answer.spent),
            held: NanoUsd::new(answer.held + answer.out),
            unresolved: NanoUsd::new(answer.unresolved),
            resets_at: (part.window.end.as_micros() != i64::MAX).then_some(part.window.end),
        })
    })
}
