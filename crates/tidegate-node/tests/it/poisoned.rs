//! Segments that could not be synced, on a disk that stays ill: nothing is believed of them, nothing is
//! lost with them, and they do not become many.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tidegate_node::journal::{Journal, JournalSettings, Step};

use crate::segments::{acknowledge_all, calls, number, segments};
use crate::support::{ended, eventually, fresh, fresh_on, intent, killed, open, settings};

/// A disk of which some steps fail for as long as is said.
#[derive(Default)]
struct Ill {
    /// Each with the number of the first segment that it fails with.
    failing: Mutex<Vec<(Step, u64)>>,
    refused: Mutex<Vec<(Step, String)>>,
    created: AtomicUsize,
    synced_again: AtomicBool,
}

/// An empty journal on such a disk.
fn ill() -> (Arc<Ill>, TempDir, JournalSettings, Journal) {
    let ill = Arc::new(Ill::default());
    let asked = Arc::clone(&ill);
    let (folder, settings, journal) = fresh_on(move |step, name| asked.answer(step, name));
    (ill, folder, settings, journal)
}

impl Ill {
    fn answer(&self, step: Step, name: &str) -> io::Result<()> {
        let mut refused = self.refused.lock();
        if step == Step::Sync && refused.contains(&(step, name.to_owned())) {
            self.synced_again.store(true, Ordering::SeqCst);
        }
        if self.failing.lock().iter().any(|(fails, from)| *fails == step && number(name) >= *from) {
            refused.push((step, name.to_owned()));
            return Err(io::Error::from_raw_os_error(5));
        }
        if step == Step::Create {
            self.created.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    fn refused(&self, step: Step) -> usize {
        self.refused.lock().iter().filter(|(refused, _)| *refused == step).count()
    }

    fn heal(&self, journal: &Journal) {
        self.failing.lock().clear();
        eventually("new work is taken again", || !journal.status().refusing);
    }
}

/// Files of segments, also the empty ones.
fn files(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".seg")).count()
}

#[test]
fn a_segment_that_cannot_be_synced_nor_replaced_is_kept_and_not_believed() {
    let (ill, folder, settings, journal) = ill();
    // The second segment is nearly empty: no third one is reserved.
    while segments(folder.path()).len() < 2 {
        journal.append(&ended(1)).unwrap();
    }
    journal.flush().unwrap();
    let first = segments(folder.path()).remove(0).1;
    *ill.failing.lock() = vec![(Step::Sync, 0), (Step::Create, 0)];
    journal.append(&ended(2)).unwrap();
    eventually("no other one is to be had", || ill.refused(Step::Create) > 1);
    acknowledge_all(&journal);
    eventually("what is acknowledged is removed", || !first.exists());
    journal.append(&ended(3)).unwrap();
    let before = ill.refused(Step::Create);
    // By then the removal has ended, whatever it removed.
    eventually("it is tried again", || ill.refused(Step::Create) > before + 1);
    ill.heal(&journal);
    journal.append(&ended(4)).unwrap();
    journal.flush().unwrap();
    assert!(!ill.synced_again.load(Ordering::SeqCst), "a poisoned segment was synced again");
    assert_eq!(calls(&journal), [3, 4]);
    assert_eq!(files(folder.path()), 1);
    let (_copy, again, recovered) = killed(&settings);
    assert_eq!((calls(&again), recovered.gaps), (vec![3, 4], 0));
}

#[test]
fn a_disk_that_stays_ill_is_not_filled_with_copies() {
    for failing in [vec![(Step::Sync, 0)], vec![(Step::Sync, 0), (Step::Write, 2)]] {
        let (ill, folder, settings, journal) = ill();
        journal.append(&ended(1)).unwrap();
        journal.flush().unwrap();
        *ill.failing.lock() = failing;
        journal.append(&ended(2)).unwrap();
        eventually("it is tried many times", || ill.created.load(Ordering::SeqCst) > 6);
        // The one with what was durable, its copy, and the next copy at most.
        assert!(files(folder.path()) <= 3, "{} files", files(folder.path()));
        let (_copy, again, recovered) = killed(&settings);
        assert_eq!((calls(&again), recovered.gaps), (vec![1, 2], 0));
        ill.heal(&journal);
        journal.append(&ended(3)).unwrap();
        assert!(!ill.synced_again.load(Ordering::SeqCst), "a poisoned segment was synced again");
        assert_eq!(calls(&journal), [1, 2, 3]);
        eventually("one is left", || files(folder.path()) == 1);
    }
}

#[test]
fn who_makes_all_durable_waits_also_for_what_another_is_syncing() {
    let (begun, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begins, ends) = (Arc::clone(&begun), Arc::clone(&done));
    let probe = move |step, _: &str| {
        if step == Step::Sync && !begins.swap(true, Ordering::SeqCst) {
            // Time for the other to be wrong in.
            std::thread::sleep(Duration::from_millis(100));
            ends.store(true, Ordering::SeqCst);
        }
        Ok(())
    };
    let (_folder, _, journal) = fresh_on(probe);
    journal.append(&ended(1)).unwrap();
    eventually("it is being synced", || begun.load(Ordering::SeqCst));
    journal.flush().unwrap();
    assert!(done.load(Ordering::SeqCst), "it was told to be durable while it was not");
}

#[test]
fn what_is_acknowledged_and_removed_while_it_is_being_synced_is_not_written_again() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().to_owned();
    let probe = move |step, name: &str| {
        if step == Step::Sync && number(name) == 1 {
            eventually("it is removed", || !place.join(name).exists());
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    };
    let settings = JournalSettings { probe: Some(Arc::new(probe)), ..settings(folder.path()) };
    let (journal, _) = open(&settings);
    while segments(folder.path()).len() < 2 {
        journal.append(&ended(1)).unwrap();
    }
    acknowledge_all(&journal);
    journal.flush().unwrap();
    let left: Vec<_> = segments(folder.path()).into_iter().map(|(number, _)| number).collect();
    assert_eq!((left, files(folder.path())), (vec![2], 1));
    journal.append(&ended(2)).unwrap();
    assert_eq!((calls(&journal), journal.status().refusing), (vec![2], false));
}

#[test]
fn a_segment_that_cannot_be_removed_is_removed_later() {
    let (ill, folder, _, journal) = ill();
    journal.append(&ended(1)).unwrap();
    journal.flush().unwrap();
    // Those that were given up.
    *ill.failing.lock() = vec![(Step::Sync, 0), (Step::Unlink, 0)];
    journal.append(&ended(2)).unwrap();
    eventually("copies are left too", || ill.refused(Step::Unlink) > 1);
    *ill.failing.lock() = vec![(Step::Unlink, 0)];
    eventually("all is durable", || journal.flush().is_ok() && !journal.status().refusing);
    ill.failing.lock().clear();
    journal.append(&ended(3)).unwrap();
    journal.flush().unwrap();
    assert_eq!((calls(&journal), files(folder.path())), (vec![1, 2, 3], 1));
    // Those that are acknowledged.
    while segments(folder.path()).len() < 3 {
        journal.append(&ended(4)).unwrap();
    }
    let (first, second) = (segments(folder.path()).remove(0).1, segments(folder.path()).remove(1).1);
    let before = ill.refused(Step::Unlink);
    *ill.failing.lock() = vec![(Step::Unlink, 0)];
    acknowledge_all(&journal);
    eventually("it is tried", || ill.refused(Step::Unlink) > before);
    ill.failing.lock().clear();
    eventually("the next one is removed", || !second.exists());
    assert!(!first.exists(), "it is not forgotten");
}

#[test]
fn a_segment_that_cannot_be_removed_holds_up_nobody_elses() {
    let (folder, settings, journal) = fresh();
    while segments(folder.path()).len() < 2 {
        journal.append(&ended(1)).unwrap();
    }
    journal.flush().unwrap();
    let earlier = segments(folder.path());
    drop(journal);
    let stuck = earlier[0].1.clone();
    let ill = stuck.clone();
    let probe = move |step, name: &str| match step {
        Step::Unlink if ill.ends_with(name) => Err(io::Error::from_raw_os_error(5)),
        _ => Ok(()),
    };
    let (journal, _) = open(&JournalSettings { probe: Some(Arc::new(probe)), ..settings });
    let own = || segments(folder.path()).into_iter().filter(|one| !earlier.contains(one)).collect::<Vec<_>>();
    while own().len() < 2 {
        journal.append(&ended(2)).unwrap();
    }
    journal.flush().unwrap();
    let first = own().remove(0).1;
    acknowledge_all(&journal);
    eventually("the new lane's is removed", || !first.exists());
    assert!(stuck.exists());
}

#[test]
fn a_file_that_cannot_be_removed_makes_no_failed_sync_the_second_in_a_row() {
    let (failing, waiting, go) = (AtomicUsize::new(1), AtomicBool::new(false), AtomicBool::new(true));
    let disk = Arc::new((failing, waiting, go));
    let asked = Arc::clone(&disk);
    let (_folder, _, journal) = fresh_on(move |step, _| {
        let (failing, waiting, go) = &*asked;
        let ill = || Err(io::Error::from_raw_os_error(5));
        match step {
            Step::Unlink => return ill(),
            Step::Sync if failing.swap(0, Ordering::SeqCst) > 0 => return ill(),
            Step::Sync => {
                waiting.store(true, Ordering::SeqCst);
                while !go.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            _ => {}
        }
        Ok(())
    });
    let (failing, waiting, go) = &*disk;
    journal.append(&ended(1)).unwrap();
    journal.flush().unwrap();
    assert_eq!(failing.load(Ordering::SeqCst), 0, "what was given up stays on the disk");
    go.store(false, Ordering::SeqCst);
    waiting.store(false, Ordering::SeqCst);
    failing.store(1, Ordering::SeqCst);
    journal.append(&ended(2)).unwrap();
    eventually("the copy is being synced", || waiting.load(Ordering::SeqCst));
    let taken = journal.append(&intent(3));
    go.store(true, Ordering::SeqCst);
    taken.expect("the first failure of this segment");
    journal.flush().unwrap();
    assert_eq!(calls(&journal), [1, 2, 3]);
}

#[test]
fn nothing_of_a_lane_is_removed_while_a_segment_that_was_given_up_lies_there() {
    let disk = Arc::new((AtomicBool::new(false), AtomicBool::new(true)));
    let asked = Arc::clone(&disk);
    let (folder, settings, journal) = fresh_on(move |step, name| {
        let (ill, stuck) = &*asked;
        match step {
            Step::Sync if ill.swap(false, Ordering::SeqCst) => Err(io::Error::from_raw_os_error(5)),
            Step::Unlink if number(name) == 1 && stuck.load(Ordering::SeqCst) => {
                Err(io::Error::from_raw_os_error(5))
            }
            _ => Ok(()),
        }
    });
    let (ill, stuck) = &*disk;
    journal.append(&intent(1)).unwrap();
    journal.flush().unwrap();
    let first = segments(folder.path()).remove(0).1;
    ill.store(true, Ordering::SeqCst);
    journal.append(&ended(2)).unwrap();
    journal.flush().unwrap();
    // Its end is in what has taken the segment's place.
    journal.append(&ended(1)).unwrap();
    while segments(folder.path()).len() < 4 {
        journal.append(&ended(2)).unwrap();
    }
    journal.flush().unwrap();
    acknowledge_all(&journal);
    // The end looks for what may be removed, a last time.
    journal.close();
    assert!(first.exists());
    let (copy, again, recovered) = killed(&settings);
    assert_eq!(recovered.orphans.len(), 0, "an attempt that has ended looks open");
    drop((copy, again, journal));
    // The same while it runs, on a disk that gets well.
    let (journal, _) = open(&settings);
    acknowledge_all(&journal);
    stuck.store(false, Ordering::SeqCst);
    eventually("all of it goes", || segments(folder.path()).is_empty());
}
