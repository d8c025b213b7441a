use tempfile::TempDir;
use tidegate_proto::config::Delta;
use tidegate_types::NodeId;

use super::*;

/// A node's disk, over several processes.
struct Disk {
    folder: TempDir,
    release: &'static str,
}

/// One process.
struct Process {
    cache: Cache,
    trial: Trial,
    applying: Applying,
}

const ONE: Shard = Shard::new(1).unwrap();
const TWO: Shard = Shard::new(2).unwrap();

impl Disk {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), release: "1" }
    }

    /// A process starts and loads what it may.
    fn start(&self) -> Process {
        let state = Arc::new(State::open(self.folder.path()).unwrap());
        let mut cache = Cache::open(Arc::clone(&state), NodeId::from_u128(1)).unwrap();
        let mut trial = Trial::begin(Arc::clone(&state), &cache, self.release).unwrap();
        let applying = Applying::open(&state);
        for shard in [ONE, TWO] {
            let by = match trial.start(shard) {
                Start::Good(marks) => marks.iter().find_map(|mark| cache.kept_by(shard, mark, |_| true)),
                Start::Whole => None,
            };
            by.unwrap_or_else(|| cache.kept(shard, |_| true));
        }
        trial.loaded(&mut cache);
        Process { cache, trial, applying }
    }
}

impl Process {
    fn keep(&mut self, shard: Shard, from: u64, to: u64) {
        let delta = Delta {
            shard: shard.index() as u32,
            from,
            to,
            replace: from == 0,
            last: true,
            ..Delta::default()
        };
        self.cache.append(shard, &delta, true).unwrap();
        self.cache.sync().unwrap();
    }

    fn passes(&mut self) {
        self.trial.healthy(&mut self.cache).unwrap();
        self.trial.healthy(&mut self.cache).unwrap();
    }

    /// Dies in the middle of applying.
    fn dies_of(self, shard: Shard, to: u64) {
        let note = [[1, shard.index() as u8].as_slice(), &to.to_be_bytes()].concat();
        self.applying.note(&note);
    }

    fn from(&self, shard: Shard) -> Option<Vec<u64>> {
        match self.trial.start(shard) {
            Start::Whole => None,
            Start::Good(marks) => Some(marks.iter().map(|mark| mark.n).collect()),
        }
    }
}

/// Held back until newer changes come, and for so many times as long as a trial.
fn hold(to: u64) -> Option<Hold> {
    Some(Hold { to, trials: None })
}

fn pause(to: u64, trials: u32) -> Option<Hold> {
    Some(Hold { to, trials: Some(trials) })
}

/// Two shards that are good up to 5, of which the first is at 8.
fn on_trial(disk: &Disk) -> Process {
    let mut process = disk.start();
    process.keep(ONE, 0, 5);
    process.keep(TWO, 0, 5);
    process.passes();
    process.keep(ONE, 5, 8);
    process
}

#[test]
fn one_death_is_borne_two_fall_back_and_three_hold_back() {
    let disk = Disk::new();
    drop(on_trial(&disk));
    let process = disk.start();
    assert_eq!((process.from(ONE), process.trial.held(ONE), process.trial.record.deaths), (None, None, 1));
    drop(process);
    let process = disk.start();
    assert_eq!((process.from(ONE), process.trial.held(ONE)), (Some(vec![5]), None));
    assert_eq!(process.from(TWO), None, "nothing of it is on trial");
    drop(process);
    let process = disk.start();
    assert_eq!((process.from(ONE), process.trial.held(ONE)), (Some(vec![5]), pause(8, 1)));
    drop(process);
    let process = disk.start();
    assert_eq!(process.trial.record.deaths, 3, "what is held back is not on trial");
    assert_eq!(process.trial.held(ONE), pause(8, 1));
}

#[test]
fn what_nobody_knows_to_be_at_fault_is_tried_again_after_pauses_that_double() {
    let disk = Disk::new();
    drop(on_trial(&disk));
    drop(disk.start());
    drop(disk.start());
    for times in [1, 2, 4, 8, 16, 32, 64, 128, 128] {
        let mut process = disk.start();
        assert_eq!(process.trial.held(ONE), pause(8, times));
        process.passes();
        process.trial.tried(ONE).unwrap();
        process.keep(ONE, 5, 8);
    }
    let mut process = disk.start();
    process.trial.tried(ONE).unwrap();
    process.keep(ONE, 5, 9);
    process.passes();
    assert_eq!(process.trial.record.held, []);
}

#[test]
fn what_has_passed_and_an_end_in_order_end_the_row() {
    for ends in [false, true] {
        let disk = Disk::new();
        drop(on_trial(&disk));
        let mut process = disk.start();
        match ends {
            true => process.trial.end().unwrap(),
            false => {
                process.passes();
                process.keep(ONE, 8, 9);
            }
        }
        drop(process);
        let mut process = disk.start();
        assert_eq!((process.from(ONE), process.trial.record.deaths), (None, u64::from(!ends)));
        process.keep(ONE, if ends { 8 } else { 9 }, 20);
        drop(process);
        let process = disk.start();
        let good = if ends { None } else { Some(vec![8, 5]) };
        assert_eq!(process.from(ONE), good, "the newest that passed comes first");
    }
}

#[test]
fn to_serve_well_before_it_is_sent_again_ends_no_row() {
    let disk = Disk::new();
    on_trial(&disk).dies_of(TWO, 7);
    let mut process = disk.start();
    process.passes();
    assert_eq!(process.trial.record.deaths, 1);
    process.dies_of(TWO, 7);
    let mut process = disk.start();
    assert_eq!(process.trial.held(TWO), hold(7));
    process.passes();
    assert_eq!((process.trial.record.deaths, process.trial.held(TWO)), (0, hold(7)), "it will not be");
}

#[test]
fn a_death_with_nothing_on_trial_is_none_of_the_configurations() {
    let disk = Disk::new();
    let mut process = disk.start();
    process.keep(ONE, 0, 5);
    process.passes();
    drop(process);
    for _ in 0..4 {
        assert_eq!(disk.start().trial.record.deaths, 0);
    }
}

#[test]
fn two_deaths_in_the_middle_of_a_shard_name_it_and_newer_changes_of_it_cost_one() {
    let disk = Disk::new();
    on_trial(&disk).dies_of(TWO, 7);
    let process = disk.start();
    assert_eq!((process.trial.held(TWO), process.from(TWO)), (None, None));
    process.dies_of(TWO, 7);
    let mut process = disk.start();
    assert_eq!((process.trial.held(TWO), process.from(TWO)), (hold(7), Some(vec![5])));
    assert_eq!((process.trial.held(ONE), process.from(ONE)), (None, None), "it is not suspected");
    process.trial.tried(TWO).unwrap();
    assert_eq!(process.trial.held(TWO), None);
    process.passes();
    process.dies_of(TWO, 9);
    let mut process = disk.start();
    assert_eq!((process.trial.held(TWO), process.trial.record.deaths), (hold(9), 3), "nothing has passed");
    process.trial.tried(TWO).unwrap();
    process.keep(TWO, 5, 10);
    process.passes();
    process.dies_of(TWO, 11);
    assert_eq!(disk.start().trial.held(TWO), None, "it had passed meanwhile");
}

#[test]
fn another_release_and_a_damaged_record_begin_anew() {
    for damaged in [false, true] {
        let mut disk = Disk::new();
        drop(on_trial(&disk));
        drop((disk.start(), "the folder's lock"));
        drop(disk.start());
        let held = disk.start().trial.held(ONE);
        assert_eq!(held, pause(8, 1));
        match damaged {
            true => std::fs::write(disk.folder.path().join(FILE), b"damaged").unwrap(),
            false => disk.release = "2",
        }
        let process = disk.start();
        let known = (process.from(ONE), process.trial.held(ONE), process.trial.record.deaths);
        assert_eq!(known, (None, None, 0));
        assert_eq!(process.trial.record.generations.len(), usize::from(!damaged));
    }
}

#[test]
fn three_generations_are_kept() {
    let disk = Disk::new();
    let mut process = on_trial(&disk);
    for to in 9..20 {
        process.keep(ONE, to - 1, to);
        process.passes();
    }
    let ns: Vec<u64> = process.trial.record.generations.iter().map(|marks| marks[0].n).collect();
    assert_eq!(ns, [19, 18, 17]);
}
