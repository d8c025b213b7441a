//! The journal's threads: without one of them nothing is promised any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_node::journal::Step;

use crate::support::{call_of, ended, eventually, fresh_on, intent, pending};

#[test]
fn a_thread_that_ends_in_a_panic_is_noticed_while_the_journal_is_used() {
    for (panics, used_for) in [(Step::Sync, "making durable"), (Step::Replace, "removing")] {
        let (armed, met) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (arms, meets) = (Arc::clone(&armed), Arc::clone(&met));
        let probe = move |step, _: &str| {
            if step == panics && arms.swap(false, Ordering::SeqCst) {
                meets.store(true, Ordering::SeqCst);
                std::panic::panic_any("the disk's own");
            }
            Ok(())
        };
        let (_folder, _, journal) = fresh_on(probe);
        journal.append(&intent(1)).unwrap();
        armed.store(true, Ordering::SeqCst);
        journal.append(&ended(2)).unwrap();
        eventually(used_for, || met.load(Ordering::SeqCst));
        eventually("new work is refused", || {
            journal.status().refusing && journal.append(&intent(3)).is_err()
        });
        // What has begun still ends, and what is there can be shipped.
        journal.append(&ended(1)).unwrap();
        journal.flush().unwrap();
        assert_eq!(pending(&journal).iter().map(call_of).collect::<Vec<_>>(), [1, 2, 1]);
    }
}
