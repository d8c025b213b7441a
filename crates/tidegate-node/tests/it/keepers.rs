//! The journal's threads: without one of them nothing is promised any more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;
use tidegate_node::journal::{Journal, JournalSettings, Step};

use crate::segments::{calls, number};
use crate::support::{call_of, ended, eventually, fresh_on, intent, open, pending, settings};

/// A journal on a disk that panics once at a step.
#[derive(Default)]
struct Disk {
    armed: AtomicBool,
    met: AtomicBool,
    synced: AtomicUsize,
}

impl Disk {
    #[expect(clippy::panic, reason = "what is planted")]
    fn journal(self: &Arc<Self>, panics: Step) -> (TempDir, Journal) {
        let disk = Arc::clone(self);
        let (folder, _, journal) = fresh_on(move |step, _| {
            if step == panics && disk.armed.swap(false, Ordering::SeqCst) {
                disk.met.store(true, Ordering::SeqCst);
                std::panic::panic_any("the disk's own");
            }
            if step == Step::Sync {
                disk.synced.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        (folder, journal)
    }

    /// Lets a thread end in a panic over the end of a call.
    fn panic(&self, journal: &Journal) {
        journal.append(&intent(1)).unwrap();
        journal.flush().unwrap();
        self.armed.store(true, Ordering::SeqCst);
        journal.append(&ended(2)).unwrap();
        eventually("a thread ends", || self.met.load(Ordering::SeqCst));
    }

    fn synced(&self) -> usize {
        self.synced.load(Ordering::SeqCst)
    }
}

#[test]
fn a_thread_that_ends_in_a_panic_is_noticed_while_the_journal_is_used() {
    for panics in [Step::Sync, Step::Replace] {
        let disk = Arc::new(Disk::default());
        let (_folder, journal) = disk.journal(panics);
        disk.panic(&journal);
        eventually("new work is refused", || {
            journal.status().refusing && journal.append(&intent(3)).is_err()
        });
        // What has begun still ends, and what is there can be shipped.
        journal.append(&ended(1)).unwrap();
        journal.flush().unwrap();
        assert_eq!(pending(&journal).iter().map(call_of).collect::<Vec<_>>(), [1, 2, 1]);
    }
}

#[test]
fn what_a_thread_had_in_hand_when_it_panicked_is_made_durable_by_whoever_asks_and_at_the_end() {
    let disk = Arc::new(Disk::default());
    let (_folder, journal) = disk.journal(Step::Sync);
    disk.panic(&journal);
    eventually("it is gone", || journal.status().refusing);
    let before = disk.synced();
    journal.flush().unwrap();
    assert_eq!(disk.synced(), before + 1, "what it had taken is synced");
    journal.append(&ended(1)).unwrap();
    journal.close();
    assert_eq!(disk.synced(), before + 2, "and at the end what came since");
}

#[test]
fn what_was_being_written_again_when_a_thread_panicked_is_not_forgotten() {
    let (ill, met, synced) = (AtomicBool::new(false), AtomicBool::new(false), AtomicUsize::new(0));
    let disk = Arc::new((ill, met, synced));
    let asked = Arc::clone(&disk);
    let (folder, _, journal) = fresh_on(move |step, name| {
        let (ill, met, synced) = &*asked;
        match step {
            Step::Sync if ill.load(Ordering::SeqCst) => return Err(io::Error::from_raw_os_error(5)),
            Step::Sync => {
                synced.fetch_add(1, Ordering::SeqCst);
            }
            Step::Write if number(name) > 1 && ill.swap(false, Ordering::SeqCst) => {
                met.store(true, Ordering::SeqCst);
                std::panic::panic_any("the disk's own");
            }
            _ => {}
        }
        Ok(())
    });
    let (ill, met, synced) = &*disk;
    journal.append(&intent(1)).unwrap();
    journal.flush().unwrap();
    ill.store(true, Ordering::SeqCst);
    journal.append(&ended(2)).unwrap();
    eventually("a thread ends while it writes the segment again", || met.load(Ordering::SeqCst));
    eventually("it is gone", || journal.status().refusing);
    let before = synced.load(Ordering::SeqCst);
    journal.flush().unwrap();
    assert_eq!(synced.load(Ordering::SeqCst), before + 1, "what was not durable is");
    assert_eq!(calls(&journal), [1, 2]);
    journal.close();
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().filter(is_segment).count(),
        1,
        "nothing half is left"
    );
}

fn is_segment(entry: &io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".seg"))
}

#[test]
fn a_lane_that_cannot_be_synced_keeps_no_other_from_it() {
    let (met, synced) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (meets, syncs) = (Arc::clone(&met), Arc::clone(&synced));
    let folder = TempDir::new().unwrap();
    let probe = move |step, name: &str| match step {
        Step::Sync if name.contains("-00000-") => Err(io::Error::from_raw_os_error(5)),
        Step::Sync if !meets.swap(true, Ordering::SeqCst) => std::panic::panic_any("the disk's own"),
        Step::Sync => {
            syncs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        _ => Ok(()),
    };
    let (journal, _) =
        open(&JournalSettings { lanes: 2, probe: Some(Arc::new(probe)), ..settings(folder.path()) });
    // The second lane's thread ends: nobody but who asks makes it durable.
    journal.append(&ended(1)).unwrap();
    eventually("it ends", || met.load(Ordering::SeqCst) && journal.status().refusing);
    journal.append(&ended(2)).unwrap();
    assert!(journal.flush().is_err(), "the first lane cannot be synced");
    assert_eq!(synced.load(Ordering::SeqCst), 1, "the second one is");
    journal.append(&ended(3)).unwrap();
    journal.close();
    assert_eq!(synced.load(Ordering::SeqCst), 2, "at the end too");
    let second = |entry: &io::Result<std::fs::DirEntry>| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains("-00001-"))
    };
    let left = std::fs::read_dir(folder.path()).unwrap().filter(second).count();
    assert_eq!(left, 1, "what was reserved is given back");
}
