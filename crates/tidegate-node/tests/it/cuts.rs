//! What may come back from the disk at a start: of a write that failed and could not be cut off either.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message;
use tidegate_node::journal::Step;
use tidegate_proto::usage::JournalRecord;

use crate::fleet::copy_of;
use crate::segments::{calls, frame_ends, segments};
use crate::support::{ended, fresh_on, intent, pending, reopen};

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
