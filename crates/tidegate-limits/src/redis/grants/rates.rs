//! What one organization's buckets have advanced to this process: time of a bucket, in microseconds.
//!
//! Pure. A bucket and all that is out of it are never more than one minute's worth together: where the
//! store's bucket has refilled so far that this could be untrue, what is here decays as time goes by,
//! so that a process that hears nothing (or dies) has nothing in the end, without anybody's evidence.

use ahash::AHashMap;
use smallvec::SmallVec;

use super::traffic::{SECOND, Traffic};
use crate::admit::{RateScope, Rates, ScopeLimits};
use crate::error::RateKind;
use crate::rate;
use crate::redis::command::Bucket;
use crate::settings::GrantSettings;

/// A grant is for what is asked for in this time, at least for [`LEAST_CALLS`].
const AHEAD: i64 = SECOND;
const LEAST_CALLS: i64 = 4;
/// The store keeps a bucket's TAT above what is out for so long after an exchange, refunds or not.
pub(in crate::redis) const COVER: i64 = SECOND;
/// What is out is told, and renewed, so often at least.
const RENEW: i64 = SECOND / 4;
/// After a refusal by the store nothing is asked for, for so long.
const REFUSED: i64 = SECOND;
/// Most buckets in one exchange.
const ROWS: usize = 64;
/// A bucket that was not used for so long is forgotten.
const FORGET: i64 = 120 * SECOND;

type At = (RateKind, RateScope);

/// One bucket.
#[derive(Debug)]
struct Account {
    /// Granted and not used, as of `told_at`; see [`Self::usable`].
    credit: i64,
    /// For so long after `told_at` the store's bucket surely covers all that is out.
    covered: i64,
    told_at: i64,
    /// What the store has in its record; `None`: an answer is missing.
    known: Option<i64>,
    /// What the bucket lacked at `heard_at`, all that is out included.
    lacking: i64,
    heard_at: Option<i64>,
    /// TAT that the bucket has at least.
    floor: i64,
    per_minute: u32,
    /// Corrections of reservations that the store has not been told.
    change: i64,
    demand: i64,
    rate: i64,
    largest: i64,
    traffic: Traffic,
    looked_at: i64,
    refused_at: Option<i64>,
    /// The store had nothing to give when last asked.
    dry: bool,
}

/// What an exchange says of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at: At,
    pub(super) keep: i64,
    pub(super) back: i64,
    pub(super) change: i64,
    pub(super) want: i64,
    pub(super) least: i64,
    pub(super) floor: i64,
}

/// An exchange of all buckets that have something to say.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) number: u64,
    pub(super) share: u32,
    pub(super) rows: SmallVec<[Row; 4]>,
}

/// What the store answers for one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) granted: i64,
    pub(super) lacking: i64,
    pub(super) covered: i64,
}

/// An organization's buckets. Times are of this process's monotonic clock, unless they say otherwise.
#[derive(Debug, Default)]
pub(super) struct RateBook {
    accounts: AHashMap<At, Account>,
    number: u64,
}

impl Account {
    const fn new(now: i64) -> Self {
        Self {
            credit: 0,
            covered: 0,
            told_at: now,
            known: Some(0),
            lacking: 0,
            heard_at: None,
            floor: 0,
            per_minute: 0,
            change: 0,
            demand: 0,
            rate: 0,
            largest: 0,
            traffic: Traffic::new(now),
            looked_at: now,
            refused_at: None,
            dry: false,
        }
    }

    /// What may be used now: less, the longer the store's bucket has not been known to cover it.
    fn usable(&self, now: i64) -> i64 {
        let uncovered = (now - self.told_at - self.covered).max(0);
        self.credit.saturating_sub(uncovered).max(0)
    }

    fn note(&mut self, bucket: &Bucket, cost: i64, now: i64) {
        (self.floor, self.per_minute) = (bucket.floor, bucket.per_minute);
        self.demand = self.demand.saturating_add(cost);
        self.largest = (self.largest - self.largest / 64).max(cost);
        self.traffic.note(now);
    }

    /// How much should be here, of a bucket that `share` / 2 nodes share.
    fn target(&mut self, now: i64, share: u32, settings: &GrantSettings) -> i64 {
        let idle = self.traffic.is_idle(now, settings);
        let refused = self.refused_at.is_some_and(|at| now - at < REFUSED);
        if refused || idle {
            return 0;
        }
        let used = self.rate.max(self.largest.saturating_mul(LEAST_CALLS));
        // What the store's bucket does not cover goes by like time does: of a limit far above its traffic,
        // whose calls take microseconds of the bucket, nothing would be left before it is used. All nodes together
        // keep no more for that than an eighth of the limit from calls that want much at once.
        let going = AHEAD.min(rate::PERIOD_MICROS / (4 * i64::from(share.max(1))));
        let covered = (self.covered - (now - self.told_at)).clamp(0, going);
        used.saturating_add(going - covered).min(rate::PERIOD_MICROS)
    }
}

impl RateBook {
    fn account(&mut self, bucket: &Bucket, now: i64) -> &mut Account {
        self.accounts.entry((bucket.kind, bucket.scope)).or_insert_with(|| Account::new(now))
    }

    /// Units that are here, of all buckets of a kind.
    pub(super) fn units(&self, kind: RateKind, now: i64) -> u64 {
        let units = |account: &Account| {
            let units = i128::from(account.usable(now)) * i128::from(account.per_minute);
            u64::try_from(units / i128::from(rate::PERIOD_MICROS)).unwrap_or(0)
        };
        self.accounts.iter().filter(|(at, _)| at.0 == kind).map(|(_, account)| units(account)).sum()
    }

    /// What is here of a bucket.
    pub(super) fn here(&self, bucket: &Bucket, now: i64) -> i64 {
        self.accounts.get(&(bucket.kind, bucket.scope)).map_or(0, |account| account.usable(now))
    }

    /// Takes a call's units from what is here, all or nothing.
    pub(super) fn take(&mut self, buckets: &[Bucket], now: i64) -> Option<Rates> {
        let mut fits = true;
        for bucket in buckets {
            let cost = rate::cost(bucket.units, bucket.per_minute);
            let account = self.account(bucket, now);
            account.note(bucket, cost, now);
            // Of a bucket that nothing is taken from something must be known, for the answer's headers.
            let heard = cost > 0 || account.heard_at.is_some_and(|at| now - at < COVER);
            fits &= heard && account.usable(now) >= cost;
        }
        if !fits {
            return None;
        }
        let mut rates = Rates::default();
        for bucket in buckets {
            let cost = rate::cost(bucket.units, bucket.per_minute);
            let Some(account) = self.accounts.get_mut(&(bucket.kind, bucket.scope)) else { continue };
            account.credit -= cost;
            // What is still here is as good as in the bucket, for this process's calls.
            let refilled = account.heard_at.map_or(0, |at| now - at);
            let lacking = (account.lacking - refilled).max(account.usable(now)) - account.usable(now);
            rates.note(bucket.kind, rate::state(now.saturating_add(lacking), now, bucket.per_minute));
        }
        Some(rates)
    }

    /// Whether what is here runs low, and there may be more.
    pub(super) fn is_low(&self, buckets: &[Bucket], now: i64) -> bool {
        let low = |account: &Account| {
            account.traffic.is_busy(now)
                && !account.dry
                && account.usable(now) < account.largest.saturating_mul(2)
        };
        buckets.iter().any(|bucket| self.accounts.get(&(bucket.kind, bucket.scope)).is_some_and(low))
    }

    /// A call that was admitted by grants has ended: its reservation of tokens is corrected.
    pub(super) fn correct(&mut self, scopes: &[ScopeLimits], reserved: u64, used: u64) {
        for entry in scopes {
            let Some(limit) = entry.limits.tokens_per_minute else { continue };
            if let Some(account) = self.accounts.get_mut(&(RateKind::Tokens, entry.scope)) {
                let change = rate::debt(used, limit) - rate::cost(reserved, limit);
                account.change = account.change.saturating_add(change);
            }
        }
    }

    /// The store has refused a call: what is here of its buckets goes back. Whether there was any, or may be:
    /// what was asked for and is on its way is out of the store's bucket already.
    pub(super) fn refused(&mut self, buckets: &[Bucket], now: i64) -> bool {
        let mut any = false;
        for bucket in buckets {
            let account = self.account(bucket, now);
            account.refused_at = Some(now);
            any |= account.usable(now) > 0 || account.known.is_none();
        }
        any
    }

    /// The next exchange; `None`: there is nothing to say. What it gives back is not used from now on.
    pub(super) fn exchange(
        &mut self,
        give_back: bool,
        now: i64,
        share: u32,
        settings: &GrantSettings,
    ) -> Option<Exchange> {
        let rows = self
            .accounts
            .iter_mut()
            .filter_map(|(at, account)| account.row(*at, give_back, now, share, settings));
        let rows: SmallVec<[Row; 4]> = rows.take(ROWS).collect();
        if rows.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Exchange { number: self.number, share: share.max(1), rows })
    }

    /// The store has answered an exchange, the newest one.
    pub(super) fn answered(&mut self, exchange: &Exchange, answers: &[Told]) {
        if exchange.number != self.number {
            return;
        }
        for (row, told) in exchange.rows.iter().zip(answers) {
            let Some(account) = self.accounts.get_mut(&row.at) else { continue };
            // Some of what was kept may have been used meanwhile.
            account.credit = account.credit.saturating_add(told.granted - row.keep).max(0);
            account.known = Some(told.granted);
            (account.lacking, account.heard_at) = (told.lacking, Some(account.told_at));
            account.dry = row.want > 0 && told.granted <= row.keep;
            account.covered = told.covered.clamp(0, COVER);
        }
    }

    /// Whether the store should hear of this again soon.
    pub(super) fn is_due(&self) -> bool {
        let due = |account: &Account| {
            account.change != 0 || account.demand > 0 || account.credit > 0 || account.known != Some(0)
        };
        self.accounts.values().any(due)
    }

    pub(super) fn forget(&mut self, now: i64) {
        self.accounts.retain(|_, account| {
            account.credit > 0 || account.change != 0 || account.traffic.unused(now) < FORGET
        });
    }
}

impl Account {
    fn row(
        &mut self,
        at: At,
        give_back: bool,
        now: i64,
        share: u32,
        settings: &GrantSettings,
    ) -> Option<Row> {
        let asked = std::mem::take(&mut self.demand);
        let elapsed = (now - std::mem::replace(&mut self.looked_at, now)).max(SECOND / 1000);
        let lately = i128::from(asked) * i128::from(AHEAD) / i128::from(elapsed);
        self.rate = self.rate / 4 * 3 + i64::try_from(lately).unwrap_or(i64::MAX) / 4;
        let target = if give_back { 0 } else { self.target(now, share, settings) };
        let usable = self.usable(now);
        let keep = usable.min(target.saturating_mul(2));
        let want = if asked > 0 && keep <= target / 2 { target - keep } else { 0 };
        let unsure = match self.known {
            None => true,
            Some(known) => known != keep && (keep == 0 || now - self.told_at >= RENEW),
        };
        if !(want > 0 || self.change != 0 || usable > keep || unsure) {
            return None;
        }
        let change = std::mem::take(&mut self.change);
        self.covered = (self.covered - (now - self.told_at)).max(0);
        (self.credit, self.told_at, self.known) = (keep, now, None);
        Some(Row {
            at,
            keep,
            back: usable - keep,
            change,
            want,
            least: self.largest.max(1),
            floor: self.floor,
        })
    }
}
