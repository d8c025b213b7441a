//! Grants: money of budgets that this process may hold without asking the store.
//!
//! Under the store's epoch, and only where the control plane has noted it first. A hold that is
//! covered is placed and ended here; one task tells the store in one trip what all organizations
//! used, gives back and takes more. See `docs/budgets.md` for the proof.

mod book;
mod exchange;
mod rated;
mod rates;
mod reclaim;
mod slots;
#[cfg(test)]
mod tests;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ahash::{AHashMap, RandomState};
use dashmap::{DashMap, DashSet};
use parking_lot::Mutex;
use tidegate_types::{CallId, OrganizationId, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::book::{Book, ENDED, Placed};
pub(in crate::redis) use self::rates::COVER;
use self::rates::RateBook;
use self::slots::SlotBook;
use crate::budget::{End, Hold, Settlement};
use crate::error::{LimitError, RateKind};
use crate::settings::GrantSettings;
use crate::stats::Stats;

/// Holds on hard budgets in one second that make grants worth their while.
const OFTEN: u32 = 3;

/// One organization.
struct Organization {
    book: Option<Book>,
    /// Grants of older epochs are over. A book that was given up is never begun again: the store knows it
    /// by its exchanges' numbers, and by what it was told.
    least: u64,
    rates: RateBook,
    slots: SlotBook,
    /// Attempts whose hold is in the store, with their deadline, and the least epoch under which
    /// they are to be settled.
    elsewhere: AHashMap<(CallId, u16), (i64, u64)>,
    /// Holds that the store decided since the last second, and their epoch.
    asked: (u32, u64),
    /// Is among those of the next exchange.
    due: bool,
    /// The store is at no epoch, or an older one: nothing can be told now.
    stalled: bool,
}

impl Organization {
    fn new(lease: i64) -> Self {
        Self {
            book: None,
            least: 0,
            rates: RateBook::default(),
            slots: SlotBook::new(lease),
            elsewhere: AHashMap::new(),
            asked: (0, 0),
            due: false,
            stalled: false,
        }
    }

    /// Whether the store should hear of it again soon.
    fn is_due(&self) -> bool {
        self.book.as_ref().is_some_and(Book::is_due) || self.rates.is_due() || self.slots.is_due()
    }
}

/// Where a hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    /// Here, under this epoch.
    Held { epoch: u64, again: bool },
    /// The store decides.
    Elsewhere,
    /// A step of a hold that is here lacks money.
    Short,
    /// Perhaps here, after an exchange.
    Hungry,
}

/// All grants of this process.
pub(super) struct Grants {
    settings: GrantSettings,
    /// Names this process in the store's records.
    process: u64,
    grace_micros: i64,
    lease_micros: i64,
    organizations: DashMap<OrganizationId, Arc<Mutex<Organization>>, RandomState>,
    due: Mutex<Vec<OrganizationId>>,
    /// Settlements whose epoch ended before the store was told: they go the usual way.
    moved: Mutex<Vec<Settlement>>,
    wanting: DashSet<OrganizationId, RandomState>,
    hungry: Notify,
    nodes: AtomicU32,
    held: AtomicU64,
    rated: AtomicU64,
    recalls: AtomicU64,
    reclaimed: AtomicU64,
    /// Zero of the monotonic clock that rates are counted by.
    began: Instant,
    trips: AtomicU64,
}

impl Grants {
    pub(super) fn new(settings: GrantSettings, process: u64, grace_micros: i64, lease_micros: i64) -> Self {
        Self {
            settings,
            process,
            grace_micros,
            lease_micros,
            organizations: DashMap::default(),
            due: Mutex::default(),
            moved: Mutex::default(),
            wanting: DashSet::default(),
            hungry: Notify::new(),
            nodes: AtomicU32::new(1),
            held: AtomicU64::new(0),
            rated: AtomicU64::new(0),
            recalls: AtomicU64::new(0),
            reclaimed: AtomicU64::new(0),
            began: Instant::now(),
            trips: AtomicU64::new(0),
        }
    }

    pub(super) const fn settings(&self) -> &GrantSettings {
        &self.settings
    }

    pub(super) fn set_nodes(&self, nodes: u32) {
        self.nodes.store(nodes.max(1), Ordering::Relaxed);
    }

    /// What was done here, and what is here of all organizations.
    pub(super) fn stats(&self) -> Stats {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut stats = Stats {
            held_locally: load(&self.held),
            rated_locally: load(&self.rated),
            exchanges: load(&self.trips),
            recalls: load(&self.recalls),
            reclaimed: load(&self.reclaimed),
            ..Stats::default()
        };
        let all: Vec<_> = self.organizations.iter().map(|organization| Arc::clone(&organization)).collect();
        for organization in all {
            let (organization, now) = (organization.lock(), self.monotonic());
            stats.granted_free += organization.book.as_ref().map_or(0, Book::free);
            stats.requests_free += organization.rates.units(RateKind::Requests, now);
            stats.tokens_free += organization.rates.units(RateKind::Tokens, now);
            stats.slots_free += u64::from(organization.slots.free(now));
        }
        stats
    }

    fn organization(&self, id: OrganizationId) -> Arc<Mutex<Organization>> {
        if let Some(known) = self.organizations.get(&id) {
            return Arc::clone(&known);
        }
        let new = || Arc::new(Mutex::new(Organization::new(self.lease_micros)));
        Arc::clone(&self.organizations.entry(id).or_insert_with(new))
    }

    /// The control plane has noted that this process may have so much of each window's limit in
    /// advance, under this epoch.
    pub(super) fn allow(&self, id: OrganizationId, epoch: u64, percent: u8) {
        let organization = self.organization(id);
        let mut organization = organization.lock();
        if epoch < organization.least || organization.book.as_ref().is_some_and(|book| book.epoch >= epoch) {
            return;
        }
        self.close(&mut organization, epoch);
        organization.book = Some(Book::new(epoch, percent.min(100)));
    }

    /// Organizations whose traffic asks for grants and that have no permission for them.
    pub(super) fn take_wanting(&self) -> Vec<(OrganizationId, u64)> {
        let wanting: Vec<OrganizationId> = self.wanting.iter().map(|id| *id).collect();
        wanting
            .into_iter()
            .filter_map(|id| {
                self.wanting.remove(&id);
                let organization = self.organization(id);
                let mut organization = organization.lock();
                let (count, epoch) = std::mem::take(&mut organization.asked);
                (count >= OFTEN && organization.book.is_none()).then_some((id, epoch))
            })
            .collect()
    }

    /// Places a hold on what is granted. `patient`: an exchange is worth waiting for.
    pub(super) fn place(
        &self,
        id: OrganizationId,
        hold: &Hold,
        now: Timestamp,
        patient: bool,
    ) -> Result<Local, LimitError> {
        let organization = self.organization(id);
        let mut organization = organization.lock();
        let attempt = (hold.call_id, hold.attempt);
        if hold.epoch > 0 && organization.book.as_ref().is_some_and(|book| book.epoch < hold.epoch) {
            self.close(&mut organization, hold.epoch);
        }
        let elsewhere = organization.elsewhere.contains_key(&attempt);
        let deadline = hold.deadline.as_micros();
        let Some(book) = organization
            .book
            .as_mut()
            .filter(|book| !elsewhere && (hold.epoch == 0 || hold.epoch == book.epoch))
        else {
            organization.elsewhere.entry(attempt).or_insert((deadline, 0));
            return Ok(Local::Elsewhere);
        };
        let (placed, low, epoch) =
            (book.place(hold, now.as_micros(), self.grace_micros)?, book.is_low(), book.epoch);
        self.make_due(id, &mut organization);
        if low {
            self.hungry.notify_one();
        }
        Ok(match placed {
            Placed::Held { again } => {
                self.held.fetch_add(u64::from(!again), Ordering::Relaxed);
                Local::Held { epoch, again }
            }
            Placed::Short => Local::Short,
            Placed::NotHere if patient && hold.step == 0 => Local::Hungry,
            Placed::NotHere => {
                organization.elsewhere.insert(attempt, (deadline, 0));
                Local::Elsewhere
            }
        })
    }

    /// The store has this hold.
    pub(super) fn granted(&self, id: OrganizationId, hold: &Hold, epoch: u64) {
        if !hold.budgets.iter().any(|part| part.hard) {
            return;
        }
        let organization = self.organization(id);
        let mut organization = organization.lock();
        if organization.book.is_none() {
            organization.asked = (organization.asked.0.saturating_add(1), epoch);
            if organization.asked.0 >= OFTEN {
                self.wanting.insert(id);
            }
        }
    }

    /// The store has refused this hold.
    pub(super) fn refused(&self, id: OrganizationId, hold: &Hold) {
        if hold.step == 0 {
            self.organization(id).lock().elsewhere.remove(&(hold.call_id, hold.attempt));
        }
    }

    /// Ends a hold that is here, or says under which epoch the store is to end it.
    pub(super) fn settle(&self, mut settlement: Settlement, now: Timestamp) -> Option<Settlement> {
        let Some(organization) = self.organizations.get(&settlement.organization_id).map(|o| Arc::clone(&o))
        else {
            return Some(settlement);
        };
        let mut organization = organization.lock();
        let attempt = (settlement.call_id, settlement.attempt);
        let now = now.as_micros();
        if let Some((deadline, least)) = organization.elsewhere.get_mut(&attempt) {
            if settlement.end != End::Unresolved {
                *deadline = now.saturating_add(ENDED);
            }
            if settlement.epoch > 0 {
                settlement.epoch = settlement.epoch.max(*least);
            }
            return Some(settlement);
        }
        let ours = organization.book.as_mut().is_some_and(|book| book.settle(&settlement, now));
        if !ours {
            // Of one attempt the first word counts: nothing overtakes what is on its way to the queue.
            let mut moved = self.moved.lock();
            if moved.is_empty() {
                return Some(settlement);
            }
            moved.push(settlement);
            return None;
        }
        self.make_due(settlement.organization_id, &mut organization);
        None
    }

    fn make_due(&self, id: OrganizationId, organization: &mut Organization) {
        if !organization.due {
            organization.due = true;
            self.due.lock().push(id);
        }
    }

    /// Gives up the grants of an epoch, because a later one is known. What the store may not know
    /// of is told to the later one's counters, which have these attempts from the ledger.
    fn close(&self, organization: &mut Organization, later: u64) {
        organization.least = organization.least.max(later);
        let Some(book) = organization.book.take() else { return };
        let (mut unconfirmed, unfinished) = book.close();
        for (attempt, deadline) in unfinished {
            organization.elsewhere.insert(attempt, (deadline, later));
        }
        for settlement in &mut unconfirmed {
            settlement.epoch = settlement.epoch.max(later);
        }
        self.moved.lock().append(&mut unconfirmed);
    }

    /// This process knows of a later epoch.
    pub(super) fn end_before(&self, id: OrganizationId, later: u64) {
        let organization = self.organization(id);
        let mut organization = organization.lock();
        if organization.book.as_ref().is_none_or(|book| book.epoch < later) {
            self.close(&mut organization, later);
        }
    }

    /// Hands over the settlements that now go the usual way, in their order.
    pub(super) fn hand_over(&self, mut take: impl FnMut(Settlement)) {
        self.moved.lock().drain(..).for_each(&mut take);
    }

    /// Whether the store knows everything that it can be told, and nothing is kept in advance.
    fn owes_nothing(&self) -> bool {
        self.organizations.iter().all(|organization| {
            let organization = organization.lock();
            let books = organization.stalled || organization.book.as_ref().is_none_or(|book| !book.is_due());
            books && !organization.rates.is_due() && !organization.slots.keeps()
        })
    }

    /// What is free here is wanted elsewhere: it goes back with the next exchange, now.
    pub(super) fn recall(&self, id: OrganizationId, now: Timestamp) {
        let organization = self.organization(id);
        let mut organization = organization.lock();
        if let Some(book) = &mut organization.book {
            book.recall(now.as_micros());
            self.make_due(id, &mut organization);
            self.hungry.notify_one();
        }
    }

    /// Turns overdue holds, forgets what is long over.
    pub(super) fn sweep(&self, now: Timestamp) {
        let (now, grace) = (now.as_micros(), self.grace_micros);
        let all: Vec<_> = self.organizations.iter().map(|entry| (*entry.key(), Arc::clone(&entry))).collect();
        for (id, organization) in all {
            let mut organization = organization.lock();
            organization.elsewhere.retain(|_, (deadline, _)| deadline.saturating_add(2 * grace) > now);
            if let Some(book) = &mut organization.book {
                book.sweep(now, grace);
            }
            organization.rates.forget(self.monotonic());
            organization.slots.forget(self.monotonic());
            if organization.is_due() {
                self.make_due(id, &mut organization);
            }
        }
    }
}
