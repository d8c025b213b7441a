//! Random histories of three processes, calls that ask the store themselves, and one limit of calls in flight: at every
//! moment what may be in use is within the limit, and what nobody renews is free again when its lease is over. The
//! store is the scripts' rules in Rust, each of which can be left out: every one that is left out is found.

use std::collections::BTreeMap;

use tidegate_types::resource::KeyLimits;

use super::super::slots::{Exchange, SlotBook};
use super::Random;
use crate::admit::{RateScope, ScopeLimits};
use crate::settings::GrantSettings;

const PROCESSES: usize = 3;
const LIMIT: u32 = 20;
/// Life of a slot that is not renewed, microseconds.
const LEASE: i64 = 3_000_000;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A message that comes late is taken for a new one.
    LateMessages,
    /// What the store forgot is given again, whatever others have by now.
    GivesAgainUnseen,
    /// More is given than is free.
    BeyondFree,
    /// A lease that is renewed ends when it would have.
    NoRenewal,
    /// What is given back stays taken, for the calls that ask the store.
    KeepsReturned,
    /// What nobody renews stays taken.
    NoExpiry,
    /// A call that asks the store is let in whatever processes have in advance.
    CallsPass,
    /// A process counts a lease from when it hears of it.
    LeaseFromAnswer,
    /// A process takes an answer to an older message for the newest one's.
    OldAnswers,
    /// A process uses what it has said it gives back, until it hears that it is taken back.
    UsesReturned,
}

/// Whose slot it is: a call's own, or the n-th of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    Call(u64),
    Of(usize, u32),
}

/// `scripts/slots.lua`, `admit.lua` and `release.lua`, for one scope.
struct Store {
    fault: Option<Fault>,
    /// Good until.
    slots: BTreeMap<Member, i64>,
    /// Of each process's last message, and how long it is remembered.
    numbers: BTreeMap<usize, (u64, i64)>,
}

impl Store {
    fn expire(&mut self, now: i64) {
        if self.fault != Some(Fault::NoExpiry) {
            self.slots.retain(|_, until| *until > now);
        }
        self.numbers.retain(|_, (_, until)| *until > now);
    }

    fn count(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap()
    }

    fn enter(&mut self, call: u64, now: i64) -> bool {
        self.expire(now);
        let own = self.slots.keys().filter(|member| matches!(member, Member::Call(_))).count();
        let counted =
            if self.fault == Some(Fault::CallsPass) { u32::try_from(own).unwrap() } else { self.count() };
        let enters = counted < LIMIT;
        if enters {
            self.slots.insert(Member::Call(call), now + LEASE);
        }
        enters
    }

    fn exchange(&mut self, process: usize, exchange: &Exchange, now: i64) -> u32 {
        let row = exchange.rows[0];
        self.expire(now);
        let last = self.numbers.get(&process).map_or(0, |known| known.0);
        if exchange.number <= last && self.fault != Some(Fault::LateMessages) {
            return row.keep;
        }
        self.numbers.insert(process, (exchange.number, now + LEASE));
        let mut mine = 0;
        for n in 1..=row.had.max(row.keep) {
            let member = Member::Of(process, n);
            let there = self.slots.contains_key(&member);
            if n > row.keep {
                if self.fault != Some(Fault::KeepsReturned) {
                    self.slots.remove(&member);
                }
            } else if there || self.count() < LIMIT || self.fault == Some(Fault::GivesAgainUnseen) {
                if !there || self.fault != Some(Fault::NoRenewal) {
                    self.slots.insert(member, now + LEASE);
                }
                mine = n;
            }
        }
        let free = LIMIT.saturating_sub(self.count());
        let more = if self.fault == Some(Fault::BeyondFree) {
            row.want
        } else {
            row.want.min(free / exchange.share)
        };
        for n in mine + 1..=mine + more {
            self.slots.insert(Member::Of(process, n), now + LEASE);
        }
        mine + more
    }
}

struct World {
    random: Random,
    now: i64,
    store: Store,
    books: Vec<SlotBook>,
    /// Newest message of each process.
    newest: [u64; PROCESSES],
    /// Sent and not arrived.
    late: Vec<(usize, Exchange)>,
    /// In flight: where their slot was had.
    calls: Vec<Call>,
    next: u64,
    taken: usize,
}

#[derive(Debug, Clone, Copy)]
enum Call {
    At(usize),
    Asked(u64),
}

fn scopes() -> [ScopeLimits; 1] {
    let limits = KeyLimits { concurrency: Some(LIMIT), ..KeyLimits::default() };
    [ScopeLimits { scope: RateScope::Organization, limits }]
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        Self {
            random: Random::new(seed),
            now: 1_000_000_000,
            store: Store { fault, slots: BTreeMap::new(), numbers: BTreeMap::new() },
            books: (0..PROCESSES).map(|_| SlotBook::new(LEASE)).collect(),
            newest: [0; PROCESSES],
            late: vec![],
            calls: vec![],
            next: 0,
            taken: 0,
        }
    }

    /// Calls that asked the store themselves are renewed in time.
    fn pass(&mut self, span: i64) {
        self.now += span;
        for (member, until) in &mut self.store.slots {
            if matches!(member, Member::Call(_)) {
                *until = self.now + LEASE;
            }
        }
    }

    fn begin(&mut self, process: usize) {
        if self.books[process].fits(&scopes(), self.now) {
            self.books[process].take(&scopes());
            self.calls.push(Call::At(process));
            self.taken += 1;
        } else {
            self.next += 1;
            if self.store.enter(self.next, self.now) {
                self.calls.push(Call::Asked(self.next));
            } else {
                self.books[process].refused(&scopes(), self.now);
            }
        }
    }

    fn end(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let at = self.random.index(self.calls.len());
        match self.calls.swap_remove(at) {
            Call::At(process) => self.books[process].release(&scopes()),
            Call::Asked(call) => {
                self.store.slots.remove(&Member::Call(call));
            }
        }
    }

    /// What the store carried out of a message is what it says.
    fn arrives(&mut self, process: usize, exchange: &Exchange) -> (u32, bool) {
        let told = self.store.exchange(process, exchange, self.now);
        let had = exchange.rows[0].had;
        let there = self
            .store
            .slots
            .keys()
            .filter(|member| matches!(**member, Member::Of(of, n) if of == process && n <= had));
        (told, there.count() <= usize::try_from(told).unwrap() || exchange.number < self.newest[process])
    }

    /// Whether what was said is true.
    fn exchange(&mut self, process: usize) -> bool {
        let settings = GrantSettings { often: 1, ..GrantSettings::default() };
        let (back, fault) = (self.random.below(8) == 0, self.store.fault);
        let share = u32::try_from(1 + self.random.below(4)).unwrap();
        let Some(mut exchange) = self.books[process].exchange(back, self.now, share, &settings) else {
            return true;
        };
        self.newest[process] = exchange.number;
        let way = self.random.below(10);
        if way < 3 {
            if fault == Some(Fault::UsesReturned) {
                self.books[process].answered(&exchange, &[exchange.rows[0].had]);
            }
            // Lost on its way, or overtaken by later ones.
            if way > 0 {
                self.late.push((process, exchange));
            }
            return true;
        }
        let span = self.random.below(if way == 3 { 2 * LEASE } else { 2_000 });
        self.pass(span);
        let (told, is_true) = self.arrives(process, &exchange);
        let span = self.random.below(if way == 4 { 2 * LEASE } else { 2_000 });
        self.pass(span);
        if way > 5 || way == 4 {
            if fault == Some(Fault::LeaseFromAnswer) {
                exchange.at = self.now;
            }
            self.books[process].answered(&exchange, &[told]);
        }
        is_true
    }

    fn late_one(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.random.index(self.late.len());
        let (process, mut exchange) = self.late.swap_remove(at);
        let told = self.store.exchange(process, &exchange, self.now);
        if self.store.fault == Some(Fault::OldAnswers) {
            exchange.number = self.newest[process];
        }
        self.books[process].answered(&exchange, &[told]);
    }

    fn step(&mut self) -> bool {
        let process = self.random.index(PROCESSES);
        match self.random.below(18) {
            0..5 => self.begin(process),
            5..9 => self.end(),
            9..14 => return self.exchange(process),
            14 => self.late_one(),
            _ => {
                let long = self.random.below(12) == 0;
                let span = self.random.below(if long { 2 * LEASE } else { LEASE / 20 });
                self.pass(span);
            }
        }
        true
    }

    /// Calls that may be in flight now, whoever let them in.
    fn in_use(&mut self) -> u32 {
        self.store.expire(self.now);
        let asked = self.store.slots.keys().filter(|member| matches!(member, Member::Call(_))).count();
        self.books.iter().map(|book| book.here(self.now)).sum::<u32>() + u32::try_from(asked).unwrap()
    }

    /// Whether all of the limit can be had once nobody has anything any more and its leases are over.
    fn comes_back(&mut self) -> bool {
        for call in std::mem::take(&mut self.calls) {
            if let Call::Asked(call) = call {
                self.store.slots.remove(&Member::Call(call));
            }
        }
        self.pass(LEASE + 1);
        (0..LIMIT).all(|nth| self.store.enter(1_000_000 + u64::from(nth), self.now))
    }
}

/// The first seed with something that is not as it should be.
fn find(fault: Option<Fault>, seeds: u64) -> Option<(u64, &'static str)> {
    (1..=seeds).find_map(|seed| {
        let mut world = World::new(seed, fault);
        for _ in 0..400 {
            if !world.step() {
                return Some((seed, "what is given back is not free"));
            }
            if world.in_use() > LIMIT {
                return Some((seed, "more is in use than the limit allows"));
            }
        }
        assert!(seed > 20 || world.taken > 0 || fault.is_some(), "nothing was ever taken from grants");
        (!world.comes_back()).then_some((seed, "what nobody renews does not come back"))
    })
}

#[test]
fn whatever_is_lost_or_late_no_more_calls_are_in_flight_than_the_limit_allows_and_all_of_it_comes_back() {
    let seeds = if std::env::var_os("TIDEGATE_FULL").is_some() { 100_000 } else { 1_000 };
    assert_eq!(find(None, seeds), None);
}

#[test]
fn every_rule_that_is_left_out_is_found() {
    use Fault::{
        BeyondFree, CallsPass, KeepsReturned, LateMessages, LeaseFromAnswer, NoExpiry, NoRenewal, OldAnswers,
        UsesReturned,
    };
    for fault in [
        LateMessages,
        BeyondFree,
        NoRenewal,
        KeepsReturned,
        NoExpiry,
        CallsPass,
        LeaseFromAnswer,
        OldAnswers,
        UsesReturned,
    ] {
        assert!(find(Some(fault), 3_000).is_some(), "{fault:?} is not found");
    }
}

#[test]
fn what_a_store_that_forgot_everything_is_told_of_is_given_again_only_where_it_is_free() {
    let in_use = |fault| {
        let mut world = World::new(1, fault);
        let settings = GrantSettings { often: 1, ..GrantSettings::default() };
        world.begin(0);
        world.pass(LEASE / 10);
        let exchange = world.books[0].exchange(false, world.now, 1, &settings).unwrap();
        let told = world.store.exchange(0, &exchange, world.now);
        world.books[0].answered(&exchange, &[told]);
        (0..4).for_each(|_| world.begin(0));
        assert_eq!((world.taken, world.books[0].used(RateScope::Organization)), (4, 4));
        world.store.slots.clear();
        world.store.numbers.clear();
        for call in 100..100 + u64::from(LIMIT) {
            assert!(world.store.enter(call, world.now));
        }
        world.pass(LEASE / 3);
        let exchange = world.books[0].exchange(false, world.now, 1, &settings).unwrap();
        let told = world.store.exchange(0, &exchange, world.now);
        world.books[0].answered(&exchange, &[told]);
        world.in_use()
    };
    assert_eq!(in_use(None), LIMIT);
    assert!(in_use(Some(Fault::GivesAgainUnseen)) > LIMIT);
}

#[test]
fn calls_in_slots_whose_lease_ran_out_unheard_count_again() {
    let mut world = World::new(1, None);
    let settings = GrantSettings { often: 1, ..GrantSettings::default() };
    let exchange = |world: &mut World| {
        let exchange = world.books[0].exchange(false, world.now, 1, &settings).unwrap();
        let told = world.store.exchange(0, &exchange, world.now);
        world.books[0].answered(&exchange, &[told]);
    };
    world.begin(0);
    world.pass(LEASE / 10);
    exchange(&mut world);
    (0..4).for_each(|_| world.begin(0));
    assert_eq!(world.books[0].used(RateScope::Organization), 4);
    // Nothing is heard for longer than a lease, and no call begins any more.
    world.pass(10 * LEASE);
    world.store.expire(world.now);
    assert_eq!(world.store.count(), 1, "but for the call that asked the store itself");
    exchange(&mut world);
    assert_eq!(world.store.count(), 5);
    assert_eq!(world.books[0].free(world.now), 0, "no more than what is in use");
}
