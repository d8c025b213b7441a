//! Which credentials have little left of their quota at their provider, by what it said last: they get less
//! of the calls that they share with others (`sharing` in the policy crate).
//!
//! Kept until the provider's limit is whole again, five minutes at most; then they count as if nothing were
//! known. Nodes of a pool tell one another of changes (`news`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use tidegate_policy::Quota;
use tidegate_types::{CredentialId, OfferingId};

use crate::health::LONGEST;
use crate::quota_headers::Left;

/// A credential at an offering.
pub(crate) type Account = (CredentialId, OfferingId);

/// Those that have little left. Usually none: then nobody waits for a lock.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    short: RwLock<Short>,
    count: AtomicUsize,
    /// What the other nodes are to be told: how much, and until when.
    told: Mutex<Vec<Change>>,
}

/// Those that have little left, until when, and when those whose time is over were last looked for.
#[derive(Debug, Default)]
struct Short {
    accounts: AHashMap<Account, (Quota, Instant)>,
    swept: Option<Instant>,
}

/// A credential that has less than before, or enough again.
pub(crate) type Change = (Account, Quota, Instant);

/// Most that are remembered, and most that wait to be told.
const MOST: usize = 10_000;
const MOST_TOLD: usize = 1_000;
/// How long those whose time is over may stay where room is short.
const SWEEP: Duration = Duration::from_secs(1);

impl Quotas {
    /// How much of its share it gets.
    pub(crate) fn of(&self, account: Account) -> Quota {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Quota::FULL;
        }
        match self.short.read().accounts.get(&account) {
            Some((quota, until)) if *until > Instant::now() => *quota,
            _ => Quota::FULL,
        }
    }

    /// What its provider just said of it. Silence changes nothing: an edge's error knows of no quota.
    pub(crate) fn note(&self, account: Account, left: &Left) {
        let (quota, wait) = match left {
            Left::Silent => return,
            Left::Plenty if !self.is_short(account) => return,
            Left::Plenty => (Quota::FULL, Duration::ZERO),
            Left::Little(quota, wait) => (*quota, *wait),
        };
        let until = Instant::now() + wait.min(LONGEST);
        if self.keep(account, quota, until) {
            let mut told = self.told.lock();
            if told.len() < MOST_TOLD {
                told.push((account, quota, until));
            }
        }
    }

    /// What another node was told.
    pub(crate) fn hear(&self, (account, quota, until): Change) {
        self.keep(account, quota, until);
    }

    /// What the other nodes are to be told.
    pub(crate) fn take_told(&self) -> Vec<Change> {
        std::mem::take(&mut *self.told.lock())
    }

    fn is_short(&self, account: Account) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.short.read().accounts.contains_key(&account)
    }

    /// Whether its share changed by it.
    fn keep(&self, account: Account, quota: Quota, until: Instant) -> bool {
        let now = Instant::now();
        let mut short = self.short.write();
        let before = short.accounts.remove(&account).filter(|(_, until)| *until > now);
        if quota < Quota::FULL && short.has_room(now) {
            short.accounts.insert(account, (quota, until));
        }
        self.count.store(short.accounts.len(), Ordering::Relaxed);
        before.map_or(Quota::FULL, |(quota, _)| quota) != quota
    }
}

impl Short {
    fn has_room(&mut self, now: Instant) -> bool {
        if self.accounts.len() >= MOST && self.swept.is_none_or(|swept| now - swept >= SWEEP) {
            self.accounts.retain(|_, (_, until)| *until > now);
            self.swept = Some(now);
        }
        self.accounts.len() < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn account(id: u128) -> Account {
        (CredentialId::from_u128(id), OfferingId::from_u128(9))
    }

    #[test]
    fn what_is_said_holds_until_the_reset_or_the_next_word_and_changes_are_told_once() {
        let quotas = Quotas::default();
        assert_eq!(quotas.of(account(1)), Quota::FULL);
        quotas.note(account(1), &Left::Plenty);
        assert!(quotas.take_told().is_empty());
        quotas.note(account(1), &Left::Little(Quota::of_tenths(3), MINUTE));
        quotas.note(account(1), &Left::Little(Quota::of_tenths(3), MINUTE));
        quotas.note(account(2), &Left::Little(Quota::SPENT, Duration::ZERO));
        assert_eq!((quotas.of(account(1)), quotas.of(account(2))), (Quota::of_tenths(3), Quota::FULL));
        let told = quotas.take_told();
        assert_eq!(told.iter().filter(|(told, ..)| *told == account(1)).count(), 1);
        let other = Quotas::default();
        told.into_iter().for_each(|change| other.hear(change));
        assert_eq!(other.of(account(1)), Quota::of_tenths(3));
        assert!(other.take_told().is_empty(), "what was heard is not told on");
        quotas.note(account(1), &Left::Silent);
        assert_eq!(quotas.of(account(1)), Quota::of_tenths(3), "silence is no word");
        quotas.note(account(1), &Left::Plenty);
        assert_eq!(quotas.of(account(1)), Quota::FULL);
        assert_eq!(quotas.take_told().len(), 1);
    }

    #[test]
    fn nobody_is_left_out_for_longer_than_five_minutes() {
        let quotas = Quotas::default();
        quotas.note(account(1), &Left::Little(Quota::SPENT, Duration::from_secs(86_400)));
        let (_, quota, until) = quotas.take_told().remove(0);
        assert_eq!(quota, Quota::SPENT);
        assert!(until <= Instant::now() + LONGEST);
    }
}
