//! The limiter of a single node, in its own memory: same words and same decisions as Redis.
//!
//! Sharded by organization; what one organization does never waits for another's lock for
//! longer than one map operation. Counters end with the process: the run is the node's boot.

pub(crate) mod budgets;
mod ends;
mod rates;

use std::sync::Arc;
use std::time::Duration;

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;
use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, Clock, OrganizationId, Timestamp};

use self::budgets::Budgets;
use self::rates::Buckets;
use crate::admit::{Admit, Lease, Rates};
use crate::budget::{Balance, BudgetHold, Hold, Settlement};
use crate::error::LimitError;
use crate::left::{Ended, LeftHold, Process};
use crate::settings::Timing;

const SHARDS: usize = 64;
/// Longest time for which an ended attempt is remembered: no question to this store is under way for longer
/// than a function call, and each of them takes room that is looked through with every call.
const REMEMBERED: Duration = Duration::from_millis(250);

/// All organizations of one process.
pub(crate) struct MemoryStore {
    run_id: String,
    clock: Arc<dyn Clock>,
    grace_micros: i64,
    ended_micros: i64,
    hasher: RandomState,
    /// Who places holds from now on.
    process: Mutex<Option<Process>>,
    shards: Vec<Mutex<AHashMap<OrganizationId, Organization>>>,
}

#[derive(Default)]
struct Organization {
    buckets: Buckets,
    budgets: Budgets,
}

impl MemoryStore {
    pub(crate) fn new(run_id: String, clock: Arc<dyn Clock>, timing: Timing) -> Self {
        Self {
            run_id,
            clock,
            grace_micros: i64::try_from(timing.grace.as_micros()).unwrap_or(i64::MAX),
            ended_micros: i64::try_from(timing.ended.min(REMEMBERED).as_micros()).unwrap_or(i64::MAX),
            hasher: RandomState::new(),
            process: Mutex::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    pub(crate) fn run_id(&self) -> &str {
        &self.run_id
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs `work` on an organization whose overdue holds have been turned and whose old ones
    /// are forgotten.
    fn with<T>(&self, id: OrganizationId, work: impl FnOnce(&mut Organization, i64) -> T) -> T {
        let shard = usize::try_from(self.hasher.hash_one(id) % SHARDS as u64).unwrap_or(0);
        let mut organizations = self.shards[shard].lock();
        let organization = organizations.entry(id).or_default();
        let now = self.clock.now().as_micros();
        organization.budgets.turn_overdue(now, self.grace_micros);
        organization.budgets.forget_in_passing(now);
        work(organization, now)
    }

    /// Grants all of it or nothing; returns the epoch of the hold (0: none), the buckets and the time.
    pub(crate) fn admit(&self, admit: &Admit) -> Result<(u64, Rates, Timestamp), LimitError> {
        self.with(admit.organization_id, |organization, now| {
            let at = Timestamp::from_micros(now);
            let Organization { buckets, budgets } = organization;
            let Some(hold) = &admit.hold else {
                let taken = buckets.check(admit, now)?;
                return Ok((0, buckets.take(admit, taken, now), at));
            };
            let epoch = budgets.epoch(hold.epoch)?;
            if budgets.has_step(hold)? {
                return Ok((epoch, buckets.states(admit, now), at));
            }
            let taken = buckets.check(admit, now)?;
            budgets
                .check(hold)
                .map_err(|refusal| LimitError::refused(refusal, buckets.states(admit, now)))?;
            budgets.place(hold, self.grace_micros);
            budgets.note_placer(hold, *self.process.lock());
            Ok((epoch, buckets.take(admit, taken, now), at))
        })
    }

    pub(crate) fn hold(&self, id: OrganizationId, hold: &Hold) -> Result<u64, LimitError> {
        self.with(id, |organization, _| {
            let budgets = &mut organization.budgets;
            let epoch = budgets.epoch(hold.epoch)?;
            if !budgets.has_step(hold)? {
                budgets.check(hold).map_err(|refusal| LimitError::refused(refusal, Rates::default()))?;
                budgets.place(hold, self.grace_micros);
                budgets.note_placer(hold, *self.process.lock());
            }
            Ok(epoch)
        })
    }

    pub(crate) fn room(&self, id: OrganizationId, budgets: &[BudgetHold]) -> Option<i64> {
        self.with(id, |organization, _| organization.budgets.room(budgets))
    }

    pub(crate) fn settle(&self, settlement: Settlement) {
        self.with(settlement.organization_id, |organization, now| {
            organization.budgets.settle(settlement, now, self.ended_micros);
        });
    }

    pub(crate) fn give_back(&self, lease: &Lease, tokens_used: Option<u64>) {
        self.with(lease.organization_id, |organization, now| {
            organization.buckets.give_back(lease, tokens_used, now);
        });
    }

    pub(crate) fn balances(
        &self,
        id: OrganizationId,
        asked: &[(BudgetId, Window)],
    ) -> Result<Vec<Balance>, LimitError> {
        self.with(id, |organization, _| {
            organization.budgets.epoch(0)?;
            Ok(asked.iter().map(|(budget, window)| organization.budgets.balance(*budget, *window)).collect())
        })
    }

    pub(crate) fn present_epoch(&self, id: OrganizationId) -> u64 {
        self.with(id, |organization, _| organization.budgets.epoch(0).unwrap_or(0))
    }

    pub(crate) fn open_epoch(
        &self,
        id: OrganizationId,
        epoch: u64,
        balances: &[OpeningBalance],
        holds: &[OpenHold],
    ) -> Result<(), LimitError> {
        self.with(id, |organization, now| {
            organization.budgets.open(epoch, balances, holds, now, self.grace_micros)
        })
    }

    pub(crate) fn close_epoch(&self, id: OrganizationId, epoch: u64) {
        self.with(id, |organization, _| organization.budgets.close(epoch));
    }

    pub(crate) fn place_as(&self, process: Process) {
        *self.process.lock() = Some(process);
    }

    pub(crate) fn left_holds(&self, organizations: &[OrganizationId], ended: Ended) -> Vec<LeftHold> {
        let left = |id: &OrganizationId| self.with(*id, |held, _| held.budgets.left(*id, ended));
        organizations.iter().flat_map(left).collect()
    }

    /// Turns overdue holds and drops what is past keeping, in every organization.
    pub(crate) fn sweep(&self) {
        let now = self.clock.now().as_micros();
        for shard in &self.shards {
            for organization in shard.lock().values_mut() {
                organization.budgets.turn_overdue(now, self.grace_micros);
                organization.budgets.forget(now);
                organization.buckets.forget(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use smallvec::smallvec;
    use tidegate_types::{CallId, NanoUsd};

    use super::*;
    use crate::budget::{BudgetHold, End};

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn ended_holds_do_not_pile_up() {
        let (organization, clock) = (OrganizationId::from_u128(1), Arc::new(Hand::default()));
        let store = MemoryStore::new("run".to_owned(), clock.clone(), Timing::default());
        store.open_epoch(organization, 1, &[], &[]).unwrap();
        let window = Window { start: Timestamp::default(), end: Timestamp::from_micros(i64::MAX) };
        for call in 0..20_000 {
            clock.0.fetch_add(1, Ordering::Relaxed);
            let amount = NanoUsd::new(1);
            let budget_id = BudgetId::from_u128(1);
            let part =
                BudgetHold { budget_id, window, limit: NanoUsd::MAX, limit_revision: 1, amount, hard: true };
            let (call_id, deadline) = (CallId::from_u128(call), store.now().plus_millis(1_000));
            let hold = Hold { call_id, attempt: 0, step: 0, epoch: 1, deadline, budgets: smallvec![part] };
            store.hold(organization, &hold).unwrap();
            store.settle(hold.settlement(organization, 1, End::Spent(amount)));
        }
        let kept = store.with(organization, |organization, _| organization.budgets.kept());
        assert!(kept < 4 * 1024, "{kept}");
        let spent = store.balances(organization, &[(BudgetId::from_u128(1), window)]).unwrap()[0].spent;
        assert_eq!(spent, NanoUsd::new(20_000));
    }
}
