//! Records that wait for the write that takes them together, and what became of each.
//!
//! Pure: tickets count up from 1 in the order of staging. Knows no disk and no lock.

use std::io;

use super::entry::Entry;

/// So many are enough for one write.
const MUCH: usize = 64;

/// The records of one lane that are staged.
#[derive(Debug, Default)]
pub(super) struct Staged {
    entries: Vec<Entry>,
    /// Of the newest record.
    ticket: u64,
    /// Of the newest that is known to be written, or that counts as lost.
    decided: u64,
    /// Those that count as lost, until they are asked for.
    lost: Vec<(u64, io::Error)>,
    /// Bytes written that nobody has been told of.
    written: usize,
}

impl Staged {
    /// Adds a record: its ticket.
    pub(super) fn push(&mut self, entry: Entry) -> u64 {
        self.entries.push(entry);
        self.ticket += 1;
        self.ticket
    }

    pub(super) fn is_much(&self) -> bool {
        self.entries.len() >= MUCH
    }

    pub(super) fn is_decided(&self, ticket: u64) -> bool {
        ticket <= self.decided
    }

    /// All that wait. Of each it is to be noted what became of it, in this order. What was taken before
    /// and not noted is lost: its write ended in a panic, and nobody may go on as if it were there.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.entries);
        while self.decided + (entries.len() as u64) < self.ticket {
            self.note_lost(io::Error::other("the write did not come to its end"));
        }
        entries
    }

    /// Gives the room back that [`Self::take`] took.
    pub(super) fn reuse(&mut self, mut entries: Vec<Entry>) {
        entries.clear();
        self.entries = entries;
    }

    /// The next so many are written, in so many bytes.
    pub(super) fn note_written(&mut self, records: usize, bytes: usize) {
        self.decided += records as u64;
        self.written += bytes;
    }

    /// The next one is not written.
    pub(super) fn note_lost(&mut self, error: io::Error) {
        self.decided += 1;
        self.lost.push((self.decided, error));
    }

    /// What became of a record that is decided, asked for once: the bytes written since the last time.
    pub(super) fn outcome(&mut self, ticket: u64) -> io::Result<usize> {
        match self.lost.iter().position(|(lost, _)| *lost == ticket) {
            Some(place) => Err(self.lost.swap_remove(place).1),
            None => Ok(std::mem::take(&mut self.written)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tidegate_proto::usage::journal_record::Record;
    use tidegate_proto::usage::{BillingEvent, EventKind};
    use tidegate_telemetry::SystemClock;

    use super::super::{Journal, JournalSettings, Step};
    use super::*;

    fn intent(call: u128) -> Entry {
        Entry::of(&Record::Event(BillingEvent {
            call_id: call.to_be_bytes().to_vec(),
            kind: EventKind::Intent.into(),
            ..BillingEvent::default()
        }))
    }

    /// A journal of one lane whose writes are counted; those of these numbers (from 1) fail.
    fn journal(folder: &std::path::Path, failing: &'static [usize]) -> (Journal, Arc<AtomicUsize>) {
        journal_where(folder, move |write| match failing.contains(&write) {
            true => Err(io::Error::other("no")),
            false => Ok(()),
        })
    }

    /// The same, where `happens` says how each write goes.
    fn journal_where(
        folder: &std::path::Path,
        happens: impl Fn(usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> (Journal, Arc<AtomicUsize>) {
        let writes = Arc::new(AtomicUsize::new(0));
        let count = writes.clone();
        let probe = move |step: Step, _: &str| match step {
            Step::Write => happens(1 + count.fetch_add(1, Ordering::SeqCst)),
            _ => Ok(()),
        };
        let settings = JournalSettings {
            lanes: 1,
            probe: Some(Arc::new(probe)),
            ..JournalSettings::new(folder.to_owned())
        };
        (Journal::open(&settings, Arc::new(SystemClock)).unwrap().0, writes)
    }

    /// Calls and sequences as they lie there.
    fn written(journal: &Journal) -> Vec<(u128, u64)> {
        let records = journal.read(&mut journal.reader(), 1_000).unwrap();
        let call = |record: &tidegate_proto::usage::JournalRecord| match &record.record {
            Some(Record::Event(event)) => u128::from_be_bytes(event.call_id.as_slice().try_into().unwrap()),
            _ => 0,
        };
        records.iter().map(|record| (call(record), record.sequence)).collect()
    }

    #[test]
    fn the_first_to_land_writes_for_all() {
        let folder = tempfile::TempDir::new().unwrap();
        let (journal, writes) = journal(folder.path(), &[]);
        let staged: Vec<_> = (1..=5).map(|call| journal.stage(intent(call)).unwrap()).collect();
        assert_eq!(written(&journal), []);
        journal.land(staged[2].0, staged[2].1).unwrap();
        assert_eq!(written(&journal), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
        for (lane, ticket) in staged {
            journal.land(lane, ticket).unwrap();
        }
        assert_eq!(writes.load(Ordering::SeqCst), 1);
        journal.append_entries(&[intent(6)]).unwrap();
        assert_eq!(written(&journal).last(), Some(&(6, 6)));
        assert_eq!(journal.status().used_bytes, journal.shared.appended_bytes.load(Ordering::SeqCst));
    }

    #[test]
    fn where_the_write_fails_each_is_written_alone_and_hears_of_its_own_only() {
        let folder = tempfile::TempDir::new().unwrap();
        // The one of all, then the second one's own.
        let (journal, _) = journal(folder.path(), &[1, 3]);
        let staged: Vec<_> = (1..=3).map(|call| journal.stage(intent(call)).unwrap()).collect();
        let landed = |index: usize| journal.land(staged[index].0, staged[index].1).is_ok();
        assert_eq!([landed(2), landed(1), landed(0)], [true, false, true]);
        assert_eq!(written(&journal), [(1, 1), (3, 2)]);
    }

    #[test]
    fn one_that_fails_alone_is_not_tried_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let (journal, writes) = journal(folder.path(), &[1]);
        let (lane, ticket) = journal.stage(intent(1)).unwrap();
        assert!(journal.land(lane, ticket).is_err());
        assert_eq!((written(&journal).len(), writes.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn more_than_is_usual_does_not_wait() {
        let folder = tempfile::TempDir::new().unwrap();
        let (journal, _) = journal(folder.path(), &[]);
        let staged: Vec<_> = (1..=200).map(|call| journal.stage(intent(call)).unwrap()).collect();
        assert_eq!(written(&journal).len(), 192);
        for (lane, ticket) in staged {
            journal.land(lane, ticket).unwrap();
        }
        assert_eq!(written(&journal).len(), 200);
    }

    #[test]
    fn those_whose_write_ends_in_a_panic_are_lost_and_the_next_are_not() {
        // In the write of all, and in the second one's own after that failed.
        for (panics, sound) in [(1, &[][..]), (3, &[(1, 1)][..])] {
            let folder = tempfile::TempDir::new().unwrap();
            let (journal, _) = journal_where(folder.path(), move |write| match write {
                write if write == panics => std::panic::panic_any("the disk's own"),
                1 => Err(io::Error::other("no")),
                _ => Ok(()),
            });
            let staged: Vec<_> = (1..=3).map(|call| journal.stage(intent(call)).unwrap()).collect();
            let land = |index: usize| journal.land(staged[index].0, staged[index].1);
            let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| land(2)));
            assert!(unwound.is_err());
            // They are told so also by the write of another one, staged since.
            let later = journal.stage(intent(4)).unwrap();
            let heard: Vec<_> = [0, 1].map(|index| land(index).is_ok()).into();
            assert_eq!(heard, [!sound.is_empty(), false]);
            journal.land(later.0, later.1).unwrap();
            let then = (4, 1 + sound.len() as u64);
            assert_eq!(written(&journal), [sound, &[then]].concat());
        }
    }
}
