//! The journal against torn writes, full disks and fsync that fails.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;
use tidegate_node::journal::{Journal, JournalError, JournalSettings, Step};
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{
    BillingEvent, EventKind, HeldBudget, JournalRecord, LanePosition, MeterMethod, Outcome,
};
use tidegate_telemetry::SystemClock;

use crate::fleet::copy_of;
use crate::support::{
    call_of, ended, eventually, fresh, fresh_on, intent, killed, open, pending, reopen, settings,
};

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    found.sort();
    found
}

fn calls(records: &[JournalRecord]) -> Vec<u128> {
    records.iter().map(call_of).collect()
}

fn acknowledge(journal: &Journal, record: &JournalRecord) {
    journal.acknowledge(&LanePosition { boot: record.boot, lane: record.lane, sequence: record.sequence });
}

/// No gap and no repetition within a (boot, lane).
fn assert_sequences(records: &[JournalRecord]) {
    let mut last: BTreeMap<(u64, u32), u64> = BTreeMap::new();
    for record in records {
        if let Some(before) = last.insert((record.boot, record.lane), record.sequence) {
            assert_eq!(record.sequence, before + 1);
        }
    }
}

#[test]
fn what_was_appended_is_read_back_in_order_across_segments() {
    let (folder, _, journal) = fresh();
    for call in 0..500 {
        journal.append(&ended(call)).unwrap();
    }
    let read = pending(&journal);
    assert_eq!(calls(&read), (0..500).collect::<Vec<_>>());
    assert_eq!(read.iter().map(|record| record.sequence).collect::<Vec<_>>(), (1..=500).collect::<Vec<_>>());
    assert!(segments(folder.path()).len() > 3);
}

#[test]
fn a_killed_process_loses_nothing_that_was_appended() {
    let (_folder, settings, journal) = fresh();
    for call in 0..200 {
        journal.append(&ended(call)).unwrap();
    }
    let (_copy, again, recovered) = killed(&settings);
    assert_eq!((recovered.pending_records, recovered.torn_bytes, recovered.gaps), (200, 0, 0));
    assert!(again.boot() > journal.boot());
    assert_eq!(calls(&pending(&again)), (0..200).collect::<Vec<_>>());
}

/// Attempt 0 of a call, which holds so much from this step on.
fn step(call: u128, step: u32, amount: i64) -> Record {
    let holds = vec![HeldBudget { amount_nano_usd: amount, ..HeldBudget::default() }];
    match intent(call) {
        Record::Event(event) => Record::Event(BillingEvent { step, holds, ..event }),
        other => other,
    }
}

#[test]
fn an_attempt_that_never_ended_is_found_with_what_its_newest_step_held_also_when_that_was_shipped() {
    let (_folder, settings, journal) = fresh();
    journal.append(&step(1, 0, 1_000)).unwrap();
    // Segments lie between one step and the next.
    (100..200).for_each(|call| journal.append(&ended(call)).unwrap());
    journal.append(&step(1, 1, 2_000)).unwrap();
    (200..300).for_each(|call| journal.append(&ended(call)).unwrap());
    pending(&journal).iter().for_each(|record| acknowledge(&journal, record));
    let (_copy, again, recovered) = killed(&settings);
    let held: Vec<_> = recovered.orphans.iter().map(|event| event.holds[0].amount_nano_usd).collect();
    assert_eq!(held, [2_000]);
    let last = pending(&again).into_iter().find_map(|record| match record.record {
        Some(Record::Event(event)) if event.kind() == EventKind::Final && call_of_event(&event) == 1 => {
            Some(event)
        }
        _ => None,
    });
    let last = last.unwrap();
    assert_eq!((last.outcome(), last.method()), (Outcome::Unresolved, MeterMethod::Held));
    assert_eq!((last.step, last.holds[0].amount_nano_usd), (0, 2_000));
}

fn call_of_event(event: &BillingEvent) -> u128 {
    u128::from_be_bytes(event.call_id.clone().try_into().unwrap())
}

#[test]
fn a_cut_or_a_flipped_bit_anywhere_leaves_exactly_a_prefix() {
    let (folder, settings, journal) = fresh();
    for call in 0..4 {
        journal.append(&ended(call)).unwrap();
    }
    let copy = copy_of(folder.path());
    drop(journal);
    let files = segments(copy.path());
    let sound: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    // The last segment with records; the one behind it is reserve.
    let last = sound.iter().rposition(|bytes| bytes.iter().any(|byte| *byte != 0)).unwrap();
    let used = sound[last].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut lengths = Vec::new();
    for offset in 0..used {
        for damage in ["cut", "flip"] {
            for (file, bytes) in files.iter().zip(&sound) {
                std::fs::write(file, bytes).unwrap();
            }
            let mut bytes = sound[last].clone();
            match damage {
                "cut" => bytes.truncate(offset),
                _ => bytes[offset] ^= 1 << (offset % 8),
            }
            std::fs::write(&files[last], &bytes).unwrap();
            let (again, recovered) = reopen(copy.path(), &settings);
            let read = pending(&again);
            assert!(read.len() < 4, "{damage} at {offset} went unseen");
            assert_eq!(calls(&read), (0..read.len() as u128).collect::<Vec<_>>(), "{damage} at {offset}");
            assert_eq!(recovered.gaps, 0);
            lengths.push(read.len());
            drop(again);
            for file in segments(copy.path()) {
                if !files.contains(&file) {
                    std::fs::remove_file(file).unwrap();
                }
            }
        }
    }
    assert_eq!(lengths.iter().max(), Some(&3), "damage to the last record costs only the last record");
}

#[test]
fn an_attempt_whose_process_died_is_ended_as_unresolved_once() {
    let (folder, settings, journal) = fresh();
    journal.append(&intent(1)).unwrap();
    journal.append(&intent(2)).unwrap();
    journal.append(&ended(1)).unwrap();
    let copy = copy_of(folder.path());
    let settings = JournalSettings { folder: copy.path().to_owned(), ..settings };
    let (again, recovered) = open(&settings);
    assert_eq!(recovered.orphans.len(), 1);
    let read = pending(&again);
    let Some(Record::Event(last)) = &read.last().unwrap().record else { panic!("not an event") };
    assert_eq!(
        (last.kind(), last.outcome(), last.method()),
        (EventKind::Final, Outcome::Unresolved, MeterMethod::Held)
    );
    assert_eq!(calls(&read), [1, 2, 1, 2]);
    let copy_again = copy_of(copy.path());
    let (third, recovered) = reopen(copy_again.path(), &settings);
    assert!(recovered.orphans.is_empty());
    assert_eq!(pending(&third).len(), 4);
}

#[test]
fn acknowledged_segments_go_and_the_rest_is_shipped_again_after_a_restart() {
    let (folder, settings, journal) = fresh();
    for call in 0..300 {
        journal.append(&ended(call)).unwrap();
    }
    let before = segments(folder.path()).len();
    let read = pending(&journal);
    acknowledge(&journal, &read[249]);
    eventually("acknowledged segments are removed", || segments(folder.path()).len() < before - 2);
    assert_eq!(journal.status().pending_records, 50);
    assert!(!journal.has_shipped(&journal.mark()));
    journal.close();
    let (again, recovered) = open(&settings);
    assert_eq!((recovered.pending_records, recovered.gaps), (50, 0));
    assert_eq!(calls(&pending(&again)), (250..300).collect::<Vec<_>>());
    let mark = again.mark();
    acknowledge(&again, pending(&again).last().unwrap());
    assert!(again.has_shipped(&mark));
    eventually("nothing of the earlier boot is left", || again.status().used_bytes == 0);
}

#[test]
fn an_attempt_in_progress_keeps_its_intent_on_the_disk() {
    let (folder, settings, journal) = fresh();
    journal.append(&intent(999)).unwrap();
    for call in 0..100 {
        journal.append(&ended(call)).unwrap();
    }
    acknowledge(&journal, pending(&journal).last().unwrap());
    journal.close();
    assert!(segments(folder.path()).len() > 1, "nothing before an open attempt's end is removed");
    let (again, recovered) = open(&settings);
    assert_eq!((recovered.orphans.len(), recovered.pending_records), (1, 0));
    assert_eq!(calls(&pending(&again)), [999]);
    eventually("its segment goes once it has ended", || again.status().used_bytes < 4096);
}

#[test]
fn a_full_journal_refuses_new_work_and_still_ends_what_has_begun() {
    let folder = TempDir::new().unwrap();
    let (journal, _) = open(&JournalSettings { limit_bytes: 20_000, ..settings(folder.path()) });
    let mut begun = 0;
    while journal.append(&intent(begun)).is_ok() {
        begun += 1;
    }
    assert!(matches!(journal.append(&intent(begun)), Err(JournalError::Full)));
    let status = journal.status();
    assert!(status.alarm && status.refusing && status.used_bytes >= 19_000 && status.used_bytes < 20_000);
    for call in 0..begun {
        journal.append(&ended(call)).unwrap();
    }
    acknowledge(&journal, pending(&journal).last().unwrap());
    eventually("it takes new work again", || journal.append(&intent(begun)).is_ok());
}

#[test]
fn a_disk_without_space_refuses_new_work_before_its_end_cannot_be_recorded() {
    let left = Arc::new(AtomicI64::new(3));
    let count = Arc::clone(&left);
    let probe = move |step, _: &str| match step {
        Step::Create if count.fetch_sub(1, Ordering::SeqCst) <= 0 => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    };
    let (_folder, _, journal) = fresh_on(probe);
    let mut begun = 0;
    while journal.append(&intent(begun)).is_ok() {
        begun += 1;
    }
    assert!(begun > 10);
    // The last quarter of a segment of 4096 bytes.
    for call in 0..4 {
        journal.append(&ended(call)).unwrap();
    }
    left.store(1000, Ordering::SeqCst);
    eventually("it takes new work again", || journal.append(&intent(begun)).is_ok());
}

#[test]
fn a_segment_whose_fsync_failed_is_written_again_and_never_synced_again() {
    let folder = TempDir::new().unwrap();
    let synced = Arc::new(parking_lot::Mutex::new(Vec::<String>::new()));
    let seen = Arc::clone(&synced);
    let probe = move |step, name: &str| {
        if step == Step::Sync {
            seen.lock().push(name.to_owned());
            if seen.lock().len() == 1 {
                return Err(io::Error::from_raw_os_error(5));
            }
        }
        Ok(())
    };
    let settings = settings(folder.path());
    let (journal, _) = open(&JournalSettings { probe: Some(Arc::new(probe)), ..settings.clone() });
    for call in 0..10 {
        journal.append(&ended(call)).unwrap();
    }
    journal.flush().unwrap();
    for call in 10..20 {
        journal.append(&ended(call)).unwrap();
    }
    journal.flush().unwrap();
    let names = synced.lock().clone();
    assert!(names.len() >= 2);
    assert!(!names[1..].contains(&names[0]), "the poisoned segment was synced again");
    assert_eq!(calls(&pending(&journal)), (0..20).collect::<Vec<_>>());
    assert!(!segments(folder.path()).iter().any(|path| path.ends_with(&names[0])));
    let (_copy, again, recovered) = killed(&settings);
    assert_eq!(recovered.gaps, 0);
    assert_eq!(calls(&pending(&again)), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_cannot_sync_makes_the_journal_refuse_until_it_can() {
    let failing = Arc::new(AtomicUsize::new(usize::MAX));
    let left = Arc::clone(&failing);
    let probe = move |step, _: &str| match step {
        Step::Sync if left.load(Ordering::SeqCst) > 0 => Err(io::Error::from_raw_os_error(5)),
        _ => Ok(()),
    };
    let (_folder, _, journal) = fresh_on(probe);
    journal.append(&intent(1)).unwrap();
    eventually("it is not ready", || journal.status().refusing);
    assert!(journal.append(&intent(2)).is_err());
    journal.append(&ended(1)).unwrap();
    failing.store(0, Ordering::SeqCst);
    eventually("it is ready again", || !journal.status().refusing);
    journal.append(&intent(2)).unwrap();
    assert_eq!(calls(&pending(&journal)), [1, 1, 2]);
}

#[test]
fn a_damaged_cursor_ships_again_and_loses_nothing() {
    let (folder, settings, journal) = fresh();
    for call in 0..20 {
        journal.append(&ended(call)).unwrap();
    }
    acknowledge(&journal, &pending(&journal)[9]);
    journal.close();
    std::fs::write(folder.path().join("cursor"), b"not a cursor").unwrap();
    let (again, _) = open(&settings);
    assert_eq!(calls(&pending(&again)), (0..20).collect::<Vec<_>>());
}

#[test]
fn records_behind_a_lost_segment_are_written_again_where_they_can_be_acknowledged() {
    let (folder, settings, journal) = fresh();
    for call in 0..150 {
        journal.append(&ended(call)).unwrap();
    }
    journal.append(&intent(150)).unwrap();
    let copy = copy_of(folder.path());
    let lost = segments(copy.path())[1].clone();
    std::fs::remove_file(lost).unwrap();
    let (again, recovered) = reopen(copy.path(), &settings);
    assert_eq!((recovered.gaps, recovered.orphans.len()), (1, 1));
    let read = pending(&again);
    assert_sequences(&read);
    assert!(read.iter().all(|record| record.boot == again.boot() || record.sequence < 60));
    let mut back = calls(&read);
    back.dedup();
    assert!(back.len() > 90 && back.ends_with(&[149, 150]), "{back:?}");
}

#[test]
fn a_journal_under_a_new_identity_counts_no_old_acknowledgement() {
    let (folder, settings, journal) = fresh();
    for call in 0..400 {
        journal.append(&ended(call)).unwrap();
    }
    let before = segments(folder.path()).len();
    acknowledge(&journal, &pending(&journal)[299]);
    eventually("acknowledged segments are removed", || segments(folder.path()).len() < before - 2);
    journal.close();
    let (again, _) = open(&JournalSettings { owner: 2, ..settings });
    let read = pending(&again);
    assert!(read.first().unwrap().sequence == 1 && read.iter().all(|record| record.boot == again.boot()));
    assert!((300..400).all(|call| calls(&read).contains(&call)));
}

#[test]
fn a_disk_that_dies_at_any_step_loses_nothing_that_was_taken() {
    for dies_at in 0..60 {
        let folder = TempDir::new().unwrap();
        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        let probe = move |_, _: &str| match count.fetch_add(1, Ordering::SeqCst) {
            step if step >= dies_at => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        };
        let base = settings(folder.path());
        let probed = JournalSettings { probe: Some(Arc::new(probe)), ..base.clone() };
        let mut taken = Vec::new();
        let mut acknowledged = 0;
        if let Ok((journal, _)) = Journal::open(&probed, Arc::new(SystemClock)) {
            for call in 0..200 {
                if journal.append(&ended(call)).is_ok() {
                    taken.push(call);
                }
                if call % 50 == 25 {
                    let last = pending(&journal).pop();
                    last.iter().for_each(|record| acknowledge(&journal, record));
                    acknowledged = taken.len();
                    let _ = journal.flush();
                }
            }
        }
        let (again, recovered) = open(&base);
        let back = calls(&pending(&again));
        assert_eq!(recovered.gaps, 0, "died at step {dies_at}");
        assert!(taken[acknowledged..].iter().all(|call| back.contains(call)), "died at step {dies_at}");
        assert_sequences(&pending(&again));
    }
}

#[test]
fn the_horizon_shrinks_with_the_rate() {
    let folder = TempDir::new().unwrap();
    let (journal, _) = open(&JournalSettings { limit_bytes: 1 << 20, ..settings(folder.path()) });
    let idle = journal.status().horizon_seconds;
    for call in 0..1000 {
        journal.append(&ended(call)).unwrap();
    }
    eventually("the horizon is told", || journal.status().horizon_seconds < idle / 1000);
}

#[test]
fn a_full_journal_has_no_horizon_also_when_nothing_was_appended_since_the_start() {
    let folder = TempDir::new().unwrap();
    let base = JournalSettings { limit_bytes: 20_000, ..settings(folder.path()) };
    let (journal, _) = open(&base);
    let mut call = 0;
    while journal.append(&ended(call)).is_ok() && !journal.status().refusing {
        call += 1;
    }
    let (_copy, again, _) = killed(&base);
    assert!(again.status().refusing);
    assert_eq!((journal.status().horizon_seconds, again.status().horizon_seconds), (0, 0));
    // Once there is room again, there is a time for which it lasts.
    pending(&again).iter().for_each(|record| acknowledge(&again, record));
    eventually("there is room", || !again.status().refusing && again.status().horizon_seconds > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any mixture of appends, acknowledgements and kills: what is owed comes back, in order,
    /// without gap or repetition.
    #[test]
    fn recovered_is_what_was_appended(steps in prop::collection::vec((0u8..4, 1u8..60), 1..12)) {
        let mut folder = TempDir::new().unwrap();
        let base = JournalSettings { lanes: 2, ..settings(folder.path()) };
        let (mut journal, _) = open(&base);
        let mut owed: Vec<u128> = Vec::new();
        let mut next = 0u128;
        for (step, amount) in steps {
            match step {
                0 | 1 => for _ in 0..amount {
                    journal.append(&ended(next)).unwrap();
                    owed.push(next);
                    next += 1;
                },
                2 => for record in pending(&journal).iter().take(usize::from(amount)) {
                    acknowledge(&journal, record);
                    owed.retain(|call| *call != call_of(record));
                },
                _ => {
                    let copy = copy_of(folder.path());
                    let (again, recovered) = reopen(copy.path(), &base);
                    prop_assert_eq!(recovered.gaps, 0);
                    journal = again;
                    folder = copy;
                    // What was acknowledged may come back where the cursor was not written yet.
                    let back = calls(&pending(&journal));
                    prop_assert!(owed.iter().all(|call| back.contains(call)));
                    owed = back;
                }
            }
            let read = pending(&journal);
            assert_sequences(&read);
            let mut read = calls(&read);
            read.sort_unstable();
            owed.sort_unstable();
            prop_assert_eq!(&read, &owed);
        }
    }
}
