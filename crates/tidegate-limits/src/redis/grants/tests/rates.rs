//! Random histories of three processes and one bucket: at every moment what is out is covered by what the
//! bucket lacks, so that together they admit what one bucket would. The store is the script's rules in Rust,
//! each of which can be left out: every one that is left out is found.

use std::collections::BTreeMap;

use super::super::rates::{COVER, Exchange, RateBook, Told};
use super::Random;
use crate::admit::RateScope;
use crate::error::RateKind;
use crate::rate;
use crate::redis::command::Bucket;
use crate::settings::GrantSettings;

const PERIOD: i64 = rate::PERIOD_MICROS;
const PROCESSES: usize = 3;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A bucket may refill past what is out.
    NoFloor,
    /// A refund may uncover what is out.
    NoCoverForRefunds,
    /// A message that comes late is taken for a new one.
    LateMessages,
    /// What was not heard of for long does not decay.
    NoDecay,
    /// What a store that forgot is told to keep is kept.
    TrustsWhatItForgot,
}

/// `scripts/rates.lua` and `release.lua`, for one bucket.
struct Store {
    fault: Option<Fault>,
    tat: i64,
    /// Number, out, good until.
    records: BTreeMap<usize, (u64, i64, i64)>,
}

impl Store {
    fn out(&self, now: i64) -> i64 {
        self.records.values().filter(|record| record.2 > now).map(|record| record.1).sum()
    }

    fn refund(&mut self, change: i64, now: i64) {
        let (before, out) = (self.tat.max(now), self.out(now));
        let covered =
            if out > 0 && self.fault != Some(Fault::NoCoverForRefunds) { now + out + COVER } else { now };
        self.tat = (before + change).max(before.min(covered));
    }

    fn exchange(&mut self, process: usize, exchange: &Exchange, now: i64) -> Told {
        let row = exchange.rows[0];
        self.records.retain(|_, record| record.2 > now);
        let (last, mut mine, _) = self.records.get(&process).copied().unwrap_or_default();
        let others = self.out(now) - mine;
        let mut tat = self.tat.max(now);
        if exchange.number > last || self.fault == Some(Fault::LateMessages) {
            let (mut keep, mut back) = (row.keep, row.back);
            if keep + back > mine && self.fault != Some(Fault::TrustsWhatItForgot) {
                (keep, back) = (0, 0);
            }
            if self.fault != Some(Fault::NoFloor) {
                tat = tat.max(now + others + keep + back);
            }
            self.tat = tat - back;
            self.records.insert(process, (exchange.number, keep, now + COVER + keep));
            if row.change < 0 {
                self.refund(row.change, now);
            }
            tat = self.tat;
            let more = row.want.min((now + PERIOD - tat).div_euclid(i64::from(exchange.share)));
            if more > 0 && more >= row.least {
                (tat, keep) = (tat + more, keep + more);
            }
            mine = keep;
            self.records.insert(process, (exchange.number, keep, now + COVER + keep));
        }
        self.tat = tat;
        let covered = if self.fault == Some(Fault::NoDecay) { COVER } else { tat - now - others - mine };
        Told { granted: mine, lacking: tat - now, covered }
    }
}

struct World {
    random: Random,
    now: i64,
    store: Store,
    books: Vec<RateBook>,
    /// Sent and not arrived.
    late: Vec<(usize, Exchange)>,
    taken: usize,
}

fn bucket(units: i64) -> Bucket {
    Bucket {
        kind: RateKind::Tokens,
        scope: RateScope::Organization,
        per_minute: 60_000,
        units: units.unsigned_abs(),
        floor: 0,
        here: 0,
    }
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        Self {
            random: Random::new(seed),
            now: 1_000_000_000,
            store: Store { fault, tat: 0, records: BTreeMap::new() },
            books: (0..PROCESSES).map(|_| RateBook::default()).collect(),
            late: vec![],
            taken: 0,
        }
    }

    fn exchange(&mut self, process: usize) {
        let settings = GrantSettings { often: 1, ..GrantSettings::default() };
        let back = self.random.below(6) == 0;
        let Some(exchange) = self.books[process].exchange(back, self.now, 4, &settings) else { return };
        match self.random.below(10) {
            // Lost on its way, or overtaken by later ones.
            0 => {}
            1 | 2 => self.late.push((process, exchange)),
            way => {
                // Time passes on the way there and back.
                self.now += self.random.below(if way == 3 { 900_000 } else { 2_000 });
                let told = self.store.exchange(process, &exchange, self.now);
                self.now += self.random.below(2_000);
                if way > 4 {
                    self.books[process].answered(&exchange, &[told]);
                }
            }
        }
    }

    fn step(&mut self) {
        let process = usize::try_from(self.random.below(3)).unwrap();
        match self.random.below(12) {
            0..4 => {
                let bucket = bucket(self.random.below(1_500) + 1);
                let taken = self.books[process].take(&[bucket], self.now);
                self.taken += usize::from(taken.is_some());
            }
            4..8 => self.exchange(process),
            8 => {
                // A call that asks the store itself, for much; perhaps given back later.
                let cost = 1_000 * (self.random.below(30_000) + 1);
                if let Ok(tat) = rate::take(self.store.tat, self.now, cost) {
                    self.store.tat = tat;
                }
            }
            9 => self.store.refund(-1_000 * (self.random.below(30_000) + 1), self.now),
            10 if !self.late.is_empty() => {
                let (process, exchange) = self.late.swap_remove(0);
                let _nobody_hears = self.store.exchange(process, &exchange, self.now);
            }
            _ => {
                let long = self.random.below(8) == 0;
                self.now += self.random.below(if long { 5_000_000 } else { 100_000 });
            }
        }
    }

    /// What is out, beyond what the bucket lacks.
    fn beyond(&self) -> i64 {
        let out: i64 = self.books.iter().map(|book| book.here(&bucket(1), self.now)).sum();
        out - (self.store.tat - self.now).max(0)
    }
}

/// The first seed with a moment at which more is out than the bucket lacks.
fn find(fault: Option<Fault>, seeds: u64) -> Option<(u64, i64)> {
    (1..=seeds).find_map(|seed| {
        let mut world = World::new(seed, fault);
        for _ in 0..400 {
            world.step();
            if world.beyond() > 0 {
                return Some((seed, world.beyond()));
            }
        }
        assert!(seed > 20 || world.taken > 0 || fault.is_some(), "nothing was ever taken from grants");
        None
    })
}

#[test]
fn a_bucket_and_all_that_is_out_of_it_never_exceed_a_minutes_worth() {
    let seeds = if std::env::var_os("TIDEGATE_FULL").is_some() { 200_000 } else { 3_000 };
    assert_eq!(find(None, seeds), None);
}

#[test]
fn every_rule_that_is_left_out_is_found() {
    use Fault::{LateMessages, NoCoverForRefunds, NoDecay, NoFloor, TrustsWhatItForgot};
    for fault in [NoFloor, NoCoverForRefunds, LateMessages, NoDecay] {
        assert!(find(Some(fault), 3_000).is_some(), "{fault:?} is not found");
    }
    // A store that forgets forgets the bucket too: found by what it says afterwards.
    let mut world = World::new(7, Some(TrustsWhatItForgot));
    let settings = GrantSettings { often: 1, ..GrantSettings::default() };
    let mut granted = [0, 0];
    for (nth, fault) in [None, Some(TrustsWhatItForgot)].into_iter().enumerate() {
        world.store = Store { fault, tat: 0, records: BTreeMap::new() };
        let book = &mut world.books[nth];
        for _ in 0..2 {
            let _ = book.take(&[bucket(1_000)], world.now);
            let exchange = book.exchange(false, world.now, 4, &settings).unwrap();
            let told = world.store.exchange(nth, &exchange, world.now);
            book.answered(&exchange, &[told]);
            world.store = Store { fault, tat: 0, records: BTreeMap::new() };
            world.now += 300_000;
        }
        granted[nth] = book.here(&bucket(1), world.now);
    }
    assert!(granted[1] > granted[0], "{granted:?}");
}

#[test]
fn of_a_limit_far_above_its_traffic_what_is_here_lasts_between_two_exchanges() {
    let settings = GrantSettings::default();
    for (per_minute, units) in [(100_000_000, 1), (4_000_000_000, 2_000), (60_000, 1)] {
        let mut store = Store { fault: None, tat: 0, records: BTreeMap::new() };
        let (mut book, mut now, mut missed) = (RateBook::default(), 1_000_000_000, 0);
        let bucket = Bucket { per_minute, ..bucket(units) };
        for round in 0..100 {
            for _ in 0..100 {
                now += 500;
                missed += u32::from(book.take(&[bucket], now).is_none() && round > 1);
            }
            if let Some(exchange) = book.exchange(false, now, 2, &settings) {
                let told = store.exchange(0, &exchange, now);
                book.answered(&exchange, &[told]);
            }
        }
        assert_eq!(missed, 0, "{per_minute}");
    }
}

#[test]
fn what_is_on_its_way_when_the_store_refuses_is_given_back_before_anybody_is_told() {
    let (mut store, settings) =
        (Store { fault: None, tat: 0, records: BTreeMap::new() }, GrantSettings::default());
    let (mut book, mut now, bucket) = (RateBook::default(), 1_000_000_000, bucket(1));
    assert!(!book.refused(&[bucket], now), "nothing was asked for");
    now += 2 * COVER;
    let on_its_way = loop {
        now += 500;
        let _none_here = book.take(&[bucket], now);
        if let Some(exchange) = book.exchange(false, now, 2, &settings) {
            break exchange;
        }
    };
    let told = store.exchange(0, &on_its_way, now);
    assert!(told.granted > 0 && book.refused(&[bucket], now), "it may be what the bucket lacks");
    book.answered(&on_its_way, &[told]);
    let back = book.exchange(false, now, 2, &settings).unwrap();
    assert_eq!(store.exchange(0, &back, now).granted, 0);
    assert!(store.tat <= now, "all of it is in the bucket again");
}
