//! What may come back from the disk at a start: of a write that failed and could not be cut off either, and of a
//! start that died before it had written everything again.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use prost::Message;
use tidegate_node::journal::{Journal, JournalSettings, Step};
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{BillingEvent, EventKind, HeldBudget, JournalRecord, Outcome};
use tidegate_telemetry::SystemClock;

use crate::fleet::copy_of;
use crate::segments::{calls, frame_ends, segments};
use crate::support::{call_of, ended, fresh, fresh_on, intent, killed, pending, reopen};

/// A record as it lies in a segment.
fn frame(record: &JournalRecord) -> Vec<u8> {
    let payload = record.encode_to_vec();
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&length), &payload).to_le_bytes();
    [&length[..], &sum[..], &payload].concat()
}

#[test]
fn what_a_failed_write_has_left_takes_no_other_records_place_and_leaves_no_sequence_out() {
    let ill = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&ill);
    let probe = move |step, _: &str| match step {
        Step::Write | Step::Cut if fails.load(Ordering::SeqCst) => Err(io::Error::from_raw_os_error(5)),
        _ => Ok(()),
    };
    let (folder, settings, journal) = fresh_on(probe);
    journal.append(&ended(1)).unwrap();
    ill.store(true, Ordering::SeqCst);
    assert!(journal.append(&intent(2)).is_err());
    ill.store(false, Ordering::SeqCst);
    journal.append(&ended(3)).unwrap();
    let taken = pending(&journal);
    // One that is left out is never stored: the records behind it could not be acknowledged.
    assert_eq!(taken.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(calls(&journal), [1, 3]);
    let second = |sequence, record| JournalRecord { sequence, record: Some(record), ..taken[1].clone() };
    let left = [second(2, intent(2)), second(3, ended(4))].map(|record| frame(&record));
    for left in [&left[..1], &left[..]] {
        let copy = copy_of(folder.path());
        let (_, path) = segments(copy.path()).remove(0);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&bytes[..frame_ends(&bytes)[0]], &left.concat()].concat()).unwrap();
        let (again, recovered) = reopen(copy.path(), &settings);
        assert_eq!((calls(&again), recovered.gaps, recovered.orphans.len()), (vec![1, 3], 0, 0));
    }
}

/// The same, of an attempt that holds something of a budget under counters.
fn held(record: Record) -> Record {
    match record {
        Record::Event(event) => {
            Record::Event(BillingEvent { epoch: 1, holds: vec![HeldBudget::default()], ..event })
        }
        other => other,
    }
}

#[test]
fn a_start_that_dies_while_it_writes_again_what_lies_behind_a_gap_makes_no_ended_attempt_an_open_one() {
    dying_start(held, 1);
    // Also one that the counters need not be told of.
    dying_start(|record| record, 0);
}

fn dying_start(made: fn(Record) -> Record, told: usize) {
    let (folder, base, journal) = fresh();
    while segments(folder.path()).len() < 3 {
        journal.append(&ended(100)).unwrap();
    }
    journal.append(&made(intent(7))).unwrap();
    journal.append(&made(ended(7))).unwrap();
    let copy = copy_of(folder.path());
    let files = segments(copy.path());
    let again: usize =
        files[2..].iter().map(|(_, path)| frame_ends(&std::fs::read(path).unwrap()).len()).sum();
    std::fs::remove_file(&files[1].1).unwrap();
    // It dies before it has the last of them, the attempt's end.
    let writes = AtomicUsize::new(0);
    let probe = move |step, _: &str| match step {
        Step::Write if writes.fetch_add(1, Ordering::SeqCst) + 1 >= again => {
            Err(io::Error::from_raw_os_error(5))
        }
        _ => Ok(()),
    };
    let dying =
        JournalSettings { folder: copy.path().to_owned(), probe: Some(Arc::new(probe)), ..base.clone() };
    assert!(Journal::open(&dying, Arc::new(SystemClock)).is_err());
    let (third, recovered) = reopen(copy.path(), &base);
    assert_eq!((recovered.gaps, recovered.ended.len(), recovered.orphans.len()), (1, told, 0));
    let finals = pending(&third).into_iter().filter(|record| call_of(record) == 7);
    let outcomes: BTreeSet<_> = finals
        .filter_map(|record| match record.record {
            Some(Record::Event(event)) if event.kind() == EventKind::Final => Some(event.outcome),
            _ => None,
        })
        .collect();
    assert_eq!(outcomes, BTreeSet::from([i32::from(Outcome::Completed)]));
}

#[test]
fn what_a_dying_start_has_ended_of_what_lies_behind_a_gap_looks_open_to_no_later_one() {
    let (folder, base, journal) = fresh();
    while segments(folder.path()).len() < 3 {
        journal.append(&ended(100)).unwrap();
    }
    journal.append(&held(intent(7))).unwrap();
    let copy = copy_of(folder.path());
    std::fs::remove_file(&segments(copy.path())[1].1).unwrap();
    // It dies when all is written, and before it has removed what it wrote again.
    let probe = |step, _: &str| match step {
        Step::Unlink => Err(io::Error::from_raw_os_error(5)),
        _ => Ok(()),
    };
    let again = JournalSettings { folder: copy.path().to_owned(), ..base.clone() };
    let dying = JournalSettings { probe: Some(Arc::new(probe)), ..again.clone() };
    assert!(Journal::open(&dying, Arc::new(SystemClock)).is_err());
    let (_second, recovered) = reopen(copy.path(), &base);
    assert_eq!((recovered.gaps, recovered.orphans.len()), (1, 0));
    let (_copy, third, recovered) = killed(&again);
    assert_eq!((recovered.gaps, recovered.orphans.len()), (0, 0));
    let last = pending(&third).into_iter().rfind(|record| call_of(record) == 7);
    let Some(Record::Event(last)) = last.and_then(|record| record.record) else {
        unreachable!("its records are there")
    };
    assert_eq!(last.kind(), EventKind::Final, "the end lies behind the beginning");
}
