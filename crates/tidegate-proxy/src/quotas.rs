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
use tidegate_types::{CredentialId, OfferingId, OrganizationId};

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

/// Those that have little left, until when and whose they are, and when those whose time is over were last looked for.
#[derive(Debug, Default)]
struct Short {
    accounts: AHashMap<Account, (Quota, Instant, OrganizationId)>,
    /// How many each owner has there.
    of: AHashMap<OrganizationId, usize>,
    swept: Option<Instant>,
}

/// A credential, and its owner's, that has less than before, or enough again.
pub(crate) type Change = (Account, OrganizationId, Quota, Instant);

/// Most that are remembered of all organizations, of one of them, and of the operator, whose room nobody else takes.
const MOST: usize = 100_000;
const MOST_OF_ONE: usize = 1_000;
const MOST_OF_OPERATOR: usize = 10_000;
/// Most that wait to be told.
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
            Some((quota, until, _)) if *until > Instant::now() => *quota,
            _ => Quota::FULL,
        }
    }

    /// What its provider just said of it. Silence changes nothing: an edge's error knows of no quota.
    pub(crate) fn note(&self, owner: OrganizationId, account: Account, left: &Left) {
        let (quota, wait) = match left {
            Left::Silent => return,
            Left::Plenty if !self.is_short(account) => return,
            Left::Plenty => (Quota::FULL, Duration::ZERO),
            Left::Little(quota, wait) => (*quota, *wait),
        };
        let until = Instant::now() + wait.min(LONGEST);
        if self.keep((account, owner, quota, until)) {
            let mut told = self.told.lock();
            if told.len() < MOST_TOLD {
                told.push((account, owner, quota, until));
            }
        }
    }

    /// What another node was told.
    pub(crate) fn hear(&self, change: Change) {
        self.keep(change);
    }

    /// What the other nodes are to be told.
    pub(crate) fn take_told(&self) -> Vec<Change> {
        std::mem::take(&mut *self.told.lock())
    }

    fn is_short(&self, account: Account) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.short.read().accounts.contains_key(&account)
    }

    /// Whether its share changed by it.
    fn keep(&self, (account, owner, quota, until): Change) -> bool {
        let now = Instant::now();
        let mut short = self.short.write();
        let before = short.take(account).filter(|(_, until)| *until > now);
        if quota < Quota::FULL && short.has_room(owner, now) {
            short.accounts.insert(account, (quota, until, owner));
            *short.of.entry(owner).or_default() += 1;
        }
        self.count.store(short.accounts.len(), Ordering::Relaxed);
        before.map_or(Quota::FULL, |(quota, _)| quota) != quota
    }
}

impl Short {
    fn take(&mut self, account: Account) -> Option<(Quota, Instant)> {
        let (quota, until, owner) = self.accounts.remove(&account)?;
        match self.of.get_mut(&owner) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.of.remove(&owner)),
        }
        Some((quota, until))
    }

    fn has_room(&mut self, owner: OrganizationId, now: Instant) -> bool {
        if !self.fits(owner) && self.swept.is_none_or(|swept| now - swept >= SWEEP) {
            let over = self.accounts.iter().filter(|(_, (_, until, _))| *until <= now);
            let over: Vec<Account> = over.map(|(account, _)| *account).collect();
            for account in over {
                self.take(account);
            }
            self.swept = Some(now);
        }
        self.fits(owner)
    }

    fn fits(&self, owner: OrganizationId) -> bool {
        let own = |owner| self.of.get(&owner).copied().unwrap_or(0);
        let operators = own(OrganizationId::SYSTEM);
        if owner == OrganizationId::SYSTEM {
            return operators < MOST_OF_OPERATOR;
        }
        own(owner) < MOST_OF_ONE && self.accounts.len() - operators < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const OWNER: OrganizationId = OrganizationId::from_u128(1);

    fn account(id: u128) -> Account {
        (CredentialId::from_u128(id), OfferingId::from_u128(9))
    }

    #[test]
    fn what_is_said_holds_until_the_reset_or_the_next_word_and_changes_are_told_once() {
        let quotas = Quotas::default();
        assert_eq!(quotas.of(account(1)), Quota::FULL);
        quotas.note(OWNER, account(1), &Left::Plenty);
        assert!(quotas.take_told().is_empty());
        quotas.note(OWNER, account(1), &Left::Little(Quota::of_tenths(3), MINUTE));
        quotas.note(OWNER, account(1), &Left::Little(Quota::of_tenths(3), MINUTE));
        quotas.note(OWNER, account(2), &Left::Little(Quota::SPENT, Duration::ZERO));
        assert_eq!((quotas.of(account(1)), quotas.of(account(2))), (Quota::of_tenths(3), Quota::FULL));
        let told = quotas.take_told();
        assert_eq!(told.iter().filter(|(told, ..)| *told == account(1)).count(), 1);
        let other = Quotas::default();
        told.into_iter().for_each(|change| other.hear(change));
        assert_eq!(other.of(account(1)), Quota::of_tenths(3));
        assert!(other.take_told().is_empty(), "what was heard is not told on");
        quotas.note(OWNER, account(1), &Left::Silent);
        assert_eq!(quotas.of(account(1)), Quota::of_tenths(3), "silence is no word");
        quotas.note(OWNER, account(1), &Left::Plenty);
        assert_eq!(quotas.of(account(1)), Quota::FULL);
        assert_eq!(quotas.take_told().len(), 1);
    }

    #[test]
    fn nobody_is_left_out_for_longer_than_five_minutes() {
        let quotas = Quotas::default();
        quotas.note(OWNER, account(1), &Left::Little(Quota::SPENT, Duration::from_secs(86_400)));
        let (_, _, quota, until) = quotas.take_told().remove(0);
        assert_eq!(quota, Quota::SPENT);
        assert!(until <= Instant::now() + LONGEST);
    }

    #[test]
    fn no_organization_takes_the_room_of_another_or_of_the_operator() {
        let quotas = Quotas::default();
        let note = |owner: u128, id: u128, wait| {
            let account = account(owner << 64 | id);
            quotas.note(OrganizationId::from_u128(owner), account, &Left::Little(Quota::SPENT, wait));
            quotas.of(account) == Quota::SPENT
        };
        assert!((0..MOST_OF_ONE as u128).all(|id| note(1, id, MINUTE)));
        assert!(!note(1, 5_000_000, MINUTE), "it has as much as one may have");
        assert!(note(2, 1, MINUTE) && note(1, 7, MINUTE), "others have room, and what is known may change");
        assert!((0..2 * MOST_OF_ONE as u128).all(|id| note(0, id, MINUTE)), "the operator has more");
        quotas.note(OWNER, account(1 << 64 | 3), &Left::Plenty);
        assert!(note(1, 5_000_001, MINUTE), "what is whole again makes room");
    }
}
