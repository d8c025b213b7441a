//! Slots (calls in flight) that this process has in advance, of one organization's scopes.
//!
//! Pure. Each is a lease in the store as a call's own would be, renewed together; what is not renewed in
//! time is not used any more. A call takes one that is free, and gives it back here.

use ahash::AHashMap;
use smallvec::SmallVec;

use super::traffic::{SECOND, Traffic};
use crate::admit::{RateScope, ScopeLimits};
use crate::redis::command::slots_of;
use crate::settings::GrantSettings;

/// So many more than were in use lately.
const SPARE: u32 = 8;
/// Most that one process has in advance of a scope.
const MOST: u32 = 256;
/// Leases are renewed so many times in their life.
const RENEWALS: i64 = 6;
/// After a refusal by the store nothing is asked for, for so long.
const REFUSED: i64 = SECOND;

/// One scope.
#[derive(Debug)]
struct Account {
    limit: u32,
    granted: u32,
    used: u32,
    /// Most in use at once since the last look.
    peak: u32,
    /// When the newest message was made that was answered: the leases in the store run from then or later.
    told_at: i64,
    /// When the newest message was made.
    asked_at: i64,
    answered: bool,
    traffic: Traffic,
    refused_at: Option<i64>,
}

/// What an exchange says of one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) scope: RateScope,
    pub(super) had: u32,
    pub(super) keep: u32,
    pub(super) want: u32,
    pub(super) limit: u32,
}

/// An exchange of all scopes that have something to say.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) number: u64,
    /// When it was made.
    pub(super) at: i64,
    pub(super) share: u32,
    pub(super) rows: SmallVec<[Row; 4]>,
}

/// An organization's scopes. Times are of this process's monotonic clock.
#[derive(Debug)]
pub(super) struct SlotBook {
    accounts: AHashMap<RateScope, Account>,
    number: u64,
    /// Life of a slot that is not renewed, microseconds.
    lease: i64,
}

impl Account {
    /// Slots that may be in use now.
    fn usable(&self, now: i64, lease: i64) -> u32 {
        if now - self.told_at < lease { self.granted } else { 0 }
    }
}

impl SlotBook {
    pub(super) fn new(lease: i64) -> Self {
        Self { accounts: AHashMap::new(), number: 0, lease }
    }

    /// Notes a call, and whether every slot that it needs is here and free.
    pub(super) fn fits(&mut self, scopes: &[ScopeLimits], now: i64) -> bool {
        let (lease, mut fits) = (self.lease, true);
        for (scope, limit) in slots_of(scopes) {
            let account = self.accounts.entry(scope).or_insert_with(|| Account {
                limit,
                granted: 0,
                used: 0,
                peak: 0,
                told_at: now,
                asked_at: now,
                answered: true,
                traffic: Traffic::new(now),
                refused_at: None,
            });
            account.traffic.note(now);
            fits &= account.used < account.usable(now, lease).min(limit);
            account.limit = limit;
        }
        fits
    }

    /// Takes what [`Self::fits`] found.
    pub(super) fn take(&mut self, scopes: &[ScopeLimits]) {
        for (scope, _) in slots_of(scopes) {
            if let Some(account) = self.accounts.get_mut(&scope) {
                account.used += 1;
                account.peak = account.peak.max(account.used);
            }
        }
    }

    /// A call that took its slots here has ended.
    pub(super) fn release(&mut self, scopes: &[ScopeLimits]) {
        for (scope, _) in slots_of(scopes) {
            if let Some(account) = self.accounts.get_mut(&scope) {
                account.used = account.used.saturating_sub(1);
            }
        }
    }

    /// The store has refused a call: what is free here goes back. Whether there was any, or may be on its way.
    pub(super) fn refused(&mut self, scopes: &[ScopeLimits], now: i64) -> bool {
        let mut any = false;
        for (scope, _) in slots_of(scopes) {
            if let Some(account) = self.accounts.get_mut(&scope) {
                account.refused_at = Some(now);
                any |= account.granted > account.used || !account.answered;
            }
        }
        any
    }

    /// Slots that may be in use now.
    #[cfg(test)]
    pub(super) fn here(&self, now: i64) -> u32 {
        self.accounts.values().map(|account| account.usable(now, self.lease)).sum()
    }

    /// Those that no call is in.
    pub(super) fn free(&self, now: i64) -> u32 {
        let free = |account: &Account| account.usable(now, self.lease).saturating_sub(account.used);
        self.accounts.values().map(free).sum()
    }

    /// Slots in use.
    pub(super) fn used(&self, scope: RateScope) -> u32 {
        self.accounts.get(&scope).map_or(0, |account| account.used)
    }

    /// Whether a scope has few left, and more are worth a trip.
    pub(super) fn is_low(&self, scopes: &[ScopeLimits], now: i64) -> bool {
        slots_of(scopes).any(|(scope, _)| {
            self.accounts.get(&scope).is_some_and(|account| {
                let pause = now - account.asked_at > SECOND / 20;
                pause && account.traffic.is_busy(now) && account.granted < account.used + 2
            })
        })
    }

    /// The next exchange; `None`: there is nothing to say.
    pub(super) fn exchange(
        &mut self,
        give_back: bool,
        now: i64,
        share: u32,
        settings: &GrantSettings,
    ) -> Option<Exchange> {
        let lease = self.lease;
        let rows = self.accounts.iter_mut();
        let rows: SmallVec<[Row; 4]> = rows
            .filter_map(|(scope, account)| account.row(*scope, give_back, now, lease, settings))
            .collect();
        if rows.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Exchange { number: self.number, at: now, share: share.max(1), rows })
    }

    /// The store has answered an exchange, the newest one.
    pub(super) fn answered(&mut self, exchange: &Exchange, granted: &[u32]) {
        if exchange.number != self.number {
            return;
        }
        for (row, granted) in exchange.rows.iter().zip(granted) {
            if let Some(account) = self.accounts.get_mut(&row.scope) {
                (account.granted, account.told_at, account.answered) = (*granted, exchange.at, true);
            }
        }
    }

    /// Whether the store should hear of this again soon.
    pub(super) fn is_due(&self) -> bool {
        self.accounts
            .values()
            .any(|account| account.granted > account.used || !account.answered || account.used > 0)
    }

    /// Whether anything is here that nobody uses.
    pub(super) fn keeps(&self) -> bool {
        self.accounts.values().any(|account| account.granted > account.used)
    }

    pub(super) fn forget(&mut self, now: i64) {
        self.accounts.retain(|_, account| {
            account.used > 0 || account.granted > 0 || account.traffic.unused(now) < 120 * SECOND
        });
    }
}

impl Account {
    fn row(
        &mut self,
        scope: RateScope,
        give_back: bool,
        now: i64,
        lease: i64,
        settings: &GrantSettings,
    ) -> Option<Row> {
        let often = self.traffic.look(now, settings);
        let refused = self.refused_at.is_some_and(|at| now - at < REFUSED);
        let peak = std::mem::replace(&mut self.peak, self.used);
        let busy = often && !refused && !give_back;
        let lately = (peak + peak / 2 + SPARE).min(MOST).min(self.limit);
        let target = if busy { lately.max(self.used) } else { self.used };
        let granted = self.usable(now, lease);
        // A surplus is kept while it is not much.
        let kept = if busy { granted.min(target.saturating_mul(2)) } else { granted.min(target) };
        // Calls go on in slots whose lease ran out unheard: they count again as soon as the store takes them for free.
        let keep = kept.max(self.used);
        let want = if busy && keep < self.used + SPARE / 2 { target.saturating_sub(keep) } else { 0 };
        let renew = keep > 0 && now - self.asked_at >= lease / RENEWALS;
        // What was wanted in vain is not asked for again at once.
        let want = if want > 0 && now - self.asked_at < SECOND / 20 { 0 } else { want };
        if want == 0 && kept == self.granted && !renew && self.answered {
            return None;
        }
        let had = self.granted;
        (self.granted, self.asked_at, self.answered) = (kept, now, false);
        Some(Row { scope, had, keep, want, limit: self.limit })
    }
}
