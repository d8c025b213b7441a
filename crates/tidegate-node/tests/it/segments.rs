//! The order of a journal's segments: they are numbered as they are written, and what they hold counts
//! once and in its order also where they lie otherwise.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tempfile::TempDir;
use tidegate_node::journal::{Journal, JournalSettings, Probe, Step};
use tidegate_proto::usage::LanePosition;

use crate::fleet::copy_of;
use crate::support::{
    call_of, ended, eventually, fresh, fresh_on, intent, killed, open, pending, reopen, settings,
};

/// The segments with records, by their numbers.
pub(crate) fn segments(folder: &Path) -> Vec<(u64, PathBuf)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        // One that was reserved in vain may go meanwhile.
        .filter(|path| std::fs::read(path).is_ok_and(|bytes| bytes.first().is_some_and(|byte| *byte != 0)))
        .map(|path| (number(&path.to_string_lossy()), path))
        .collect();
    found.sort();
    found
}

pub(crate) fn number(name: &str) -> u64 {
    name.trim_end_matches(".seg").rsplit('-').next().unwrap().parse().unwrap()
}

/// The path of the same lane's segment of another number.
fn renumbered(path: &Path, number: u64) -> PathBuf {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let (lane, _) = name.rsplit_once('-').unwrap();
    path.with_file_name(format!("{lane}-{number:010}.seg"))
}

/// Where each frame of a segment ends.
pub(crate) fn frame_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(length) = bytes.get(at..at + 4) {
        match u32::from_le_bytes(length.try_into().unwrap()) {
            0 => break,
            length => at += 8 + length as usize,
        }
        ends.push(at);
    }
    ends
}

pub(crate) fn calls(journal: &Journal) -> Vec<u128> {
    pending(journal).iter().map(call_of).collect()
}

pub(crate) fn acknowledge_all(journal: &Journal) {
    for record in pending(journal) {
        let sequence = record.sequence;
        journal.acknowledge(&LanePosition { boot: record.boot, lane: record.lane, sequence });
    }
}

/// What the disk was asked for, and the journal that asks.
#[derive(Default)]
struct Watched {
    journal: OnceLock<Weak<Journal>>,
    created: Mutex<BTreeSet<u64>>,
    /// Numbers of the segments in the order in which they were first written to.
    written: Mutex<Vec<u64>>,
    overtaken: AtomicBool,
}

impl Watched {
    /// While the second segment is being reserved, records come until one more is needed.
    fn probe(self: &Arc<Self>) -> Probe {
        let watched = Arc::clone(self);
        Arc::new(move |step, name| {
            match step {
                Step::Create => {
                    watched.created.lock().insert(number(name));
                    if number(name) == 2 {
                        watched.fill_up();
                    }
                }
                Step::Write if watched.written.lock().last() != Some(&number(name)) => {
                    watched.written.lock().push(number(name));
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn fill_up(&self) {
        let Some(journal) = self.journal.get().and_then(Weak::upgrade) else { return };
        let needed = |call| {
            journal.append(&ended(call)).unwrap();
            self.created.lock().contains(&3)
        };
        let overtaken = (1_000..2_000).any(needed);
        drop(journal);
        self.overtaken.store(overtaken, Ordering::SeqCst);
    }
}

#[test]
fn a_segment_that_is_reserved_while_another_is_needed_is_not_written_to_after_it() {
    let folder = TempDir::new().unwrap();
    let watched = Arc::new(Watched::default());
    let settings = JournalSettings { probe: Some(watched.probe()), ..settings(folder.path()) };
    let journal = Arc::new(open(&settings).0);
    watched.journal.set(Arc::downgrade(&journal)).unwrap();
    let mut call = 0;
    let mut append = || {
        journal.append(&ended(call)).unwrap();
        call += 1;
    };
    // So much of a segment is used when the next one is reserved.
    while journal.status().used_bytes < settings.segment_bytes / 3 {
        append();
    }
    eventually("one was needed meanwhile", || watched.overtaken.load(Ordering::SeqCst));
    while watched.written.lock().len() < 5 {
        append();
    }
    let written = watched.written.lock().clone();
    assert!(written.is_sorted(), "{written:?}");
    let (_copy, again, recovered) = killed(&settings);
    assert_eq!((recovered.gaps, recovered.torn_bytes), (0, 0));
    assert_eq!(calls(&again), calls(&journal));
}

#[test]
fn segments_are_read_in_the_order_of_their_records_whatever_their_numbers() {
    let (folder, settings, journal) = fresh();
    for call in 0..150 {
        journal.append(&intent(call)).unwrap();
        journal.append(&ended(call)).unwrap();
    }
    let copy = copy_of(folder.path());
    let files = segments(copy.path());
    assert!(files.len() > 3);
    for (number, path) in &files {
        std::fs::rename(path, renumbered(path, 1_000 - number)).unwrap();
    }
    let (again, recovered) = reopen(copy.path(), &settings);
    assert_eq!((recovered.pending_records, recovered.gaps, recovered.orphans.len()), (300, 0, 0));
    assert_eq!(calls(&again), calls(&journal));
    acknowledge_all(&again);
    eventually("nothing of it is left", || again.status().used_bytes == 0);
}

/// A segment is written again, and the machine dies before all of it is on the disk.
#[test]
fn what_is_there_twice_counts_once() {
    let (folder, settings, journal) = fresh();
    for record in [intent(1), ended(1), ended(2)] {
        journal.append(&record).unwrap();
    }
    let (_, whole) = segments(folder.path()).remove(0);
    for repeats in [Some(0), Some(7), None] {
        let copy = copy_of(folder.path());
        let path = copy.path().join(whole.file_name().unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let ends = frame_ends(&bytes);
        let begun = &bytes[..ends[0]];
        match repeats {
            Some(number) => std::fs::write(renumbered(&path, number), begun).unwrap(),
            None => std::fs::write(&path, [&bytes[..ends[2]], begun].concat()).unwrap(),
        }
        let (again, recovered) = reopen(copy.path(), &settings);
        assert!(recovered.orphans.is_empty(), "an attempt that has ended is not ended again");
        assert_eq!((recovered.pending_records, recovered.gaps), (3, 0));
        assert_eq!(calls(&again), [1, 1, 2]);
        let mark = again.mark();
        acknowledge_all(&again);
        assert!(again.has_shipped(&mark));
        assert_eq!(again.status().pending_records, 0);
        eventually("nothing of it is left", || again.status().used_bytes == 0);
    }
}

#[test]
fn a_record_that_is_missing_within_a_segment_is_seen_and_the_rest_can_be_acknowledged() {
    let (folder, settings, journal) = fresh();
    (0..90).for_each(|call| journal.append(&ended(call)).unwrap());
    let copy = copy_of(folder.path());
    let files = segments(copy.path());
    let bytes = std::fs::read(&files[1].1).unwrap();
    let ends = frame_ends(&bytes);
    std::fs::write(&files[1].1, [&bytes[..ends[1]], &bytes[ends[2]..]].concat()).unwrap();
    let before = frame_ends(&std::fs::read(&files[0].1).unwrap()).len() as u128;
    let (again, recovered) = reopen(copy.path(), &settings);
    assert_eq!(recovered.gaps, 1);
    let expected: Vec<_> = (0..90).filter(|call| *call != before + 2).collect();
    assert_eq!(calls(&again), expected);
    for (one, next) in pending(&again).iter().zip(pending(&again).iter().skip(1)) {
        let (place, behind) = ((one.boot, one.sequence), (next.boot, next.sequence));
        assert!(behind == (place.0, place.1 + 1) || (next.boot == again.boot() && next.sequence == 1));
    }
}

#[test]
fn what_is_acknowledged_before_a_missing_record_tells_which_attempts_are_open() {
    let (folder, settings, journal) = fresh();
    // The third one is open all the time, so that the first segment stays.
    [intent(1), intent(3)].iter().for_each(|record| journal.append(record).unwrap());
    while segments(folder.path()).len() < 2 {
        journal.append(&ended(100)).unwrap();
    }
    for record in [ended(1), intent(2), ended(200), ended(201), ended(202)] {
        journal.append(&record).unwrap();
    }
    let stored = pending(&journal).into_iter().find(|record| call_of(record) == 2).unwrap();
    let sequence = stored.sequence;
    journal.acknowledge(&LanePosition { boot: stored.boot, lane: stored.lane, sequence });
    journal.close();
    let (_, path) = segments(folder.path()).remove(1);
    let bytes = std::fs::read(&path).unwrap();
    let ends = frame_ends(&bytes);
    std::fs::write(&path, [&bytes[..ends[2]], &bytes[ends[3]..]].concat()).unwrap();
    let (again, recovered) = reopen(folder.path(), &settings);
    let orphans: Vec<_> = recovered.orphans.iter().map(|intent| intent.call_id.last().copied()).collect();
    assert_eq!((recovered.gaps, orphans), (1, vec![Some(2), Some(3)]));
    assert_eq!(calls(&again), [201, 202, 2, 3]);
}

#[test]
fn what_was_taken_once_is_written_again_also_where_new_work_finds_no_room() {
    let (folder, settings, journal) = fresh();
    (0..150).for_each(|call| journal.append(&intent(call)).unwrap());
    let copy = copy_of(folder.path());
    std::fs::remove_file(&segments(copy.path())[1].1).unwrap();
    let (again, recovered) = reopen(copy.path(), &JournalSettings { limit_bytes: 1_000, ..settings });
    assert!(again.status().refusing && recovered.gaps == 1);
    let begun: BTreeSet<_> = calls(&again).into_iter().collect();
    assert!(begun.len() == recovered.orphans.len() && begun.len() > 60 && begun.contains(&149), "{begun:?}");
}

#[test]
fn an_attempt_in_progress_outlives_the_segment_of_its_intent() {
    let failing = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&failing);
    let less = |left: usize| left.checked_sub(1);
    let probe = move |step, _: &str| match step {
        Step::Sync if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() => {
            Err(io::Error::from_raw_os_error(5))
        }
        _ => Ok(()),
    };
    let (folder, settings, journal) = fresh_on(probe);
    journal.append(&intent(1)).unwrap();
    journal.flush().unwrap();
    acknowledge_all(&journal);
    let first = segments(folder.path());
    failing.store(1, Ordering::SeqCst);
    journal.append(&ended(2)).unwrap();
    eventually("its segment is given up", || {
        let now = segments(folder.path());
        now.len() == 1 && now != first
    });
    let (_copy, _, recovered) = killed(&settings);
    assert_eq!((recovered.orphans.len(), recovered.gaps), (1, 0));
}

#[test]
fn what_a_failed_write_may_have_left_is_cut_off_durably() {
    let steps = Arc::new(Mutex::new(Vec::<(Step, u64)>::new()));
    let seen = Arc::clone(&steps);
    let probe = move |step, name: &str| {
        let mut steps = seen.lock();
        if matches!(step, Step::Write | Step::Sync) {
            steps.push((step, number(name)));
        }
        match steps.iter().filter(|(step, _)| *step == Step::Write).count() {
            2 if step == Step::Write => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    };
    let (_folder, settings, journal) = fresh_on(probe);
    journal.append(&ended(1)).unwrap();
    eventually("it is durable", || steps.lock().contains(&(Step::Sync, 1)));
    assert!(journal.append(&ended(2)).is_err());
    eventually("the cut is durable", || {
        let steps = steps.lock();
        let failed = steps.iter().rposition(|(step, _)| *step == Step::Write).unwrap();
        steps[failed..].contains(&(Step::Sync, 1))
    });
    journal.append(&ended(3)).unwrap();
    let (_copy, again, recovered) = killed(&settings);
    assert_eq!((calls(&again), recovered.gaps), (vec![1, 3], 0));
}
