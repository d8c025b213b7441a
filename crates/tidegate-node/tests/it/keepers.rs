//! The journal's threads: without one of them nothing is promised any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;
use tidegate_node::journal::{Journal, Step};

use crate::support::{call_of, ended, eventually, fresh_on, intent, pending};

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
