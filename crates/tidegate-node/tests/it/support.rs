//! Records, clocks and deadlines that the scenarios share.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate_node::journal::{Journal, JournalSettings, Recovered, Step};
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{BillingEvent, EventKind, JournalRecord, Outcome};
use tidegate_telemetry::SystemClock;

use crate::fleet::copy_of;

/// How long a state is waited for: no promise of speed, only an end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Reads until `check` holds.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An event of one call.
pub(crate) fn event(call: u128, kind: EventKind) -> Record {
    Record::Event(BillingEvent {
        call_id: call.to_be_bytes().to_vec(),
        kind: kind.into(),
        organization_id: 7u128.to_be_bytes().to_vec(),
        deadline_micros: i64::MAX,
        outcome: Outcome::Completed.into(),
        ..BillingEvent::default()
    })
}

/// An attempt that began.
pub(crate) fn intent(call: u128) -> Record {
    event(call, EventKind::Intent)
}

/// An attempt that ended.
pub(crate) fn ended(call: u128) -> Record {
    event(call, EventKind::Final)
}

/// A journal of one lane in small segments.
pub(crate) fn settings(folder: &Path) -> JournalSettings {
    JournalSettings {
        limit_bytes: 1 << 30,
        segment_bytes: 4096,
        lanes: 1,
        ..JournalSettings::new(folder.to_owned())
    }
}

/// An empty journal in a folder of its own.
pub(crate) fn fresh() -> (TempDir, JournalSettings, Journal) {
    fresh_on(|_, _| Ok(()))
}

/// The same, on a disk whose every step this allows or fails.
pub(crate) fn fresh_on(
    probe: impl Fn(Step, &str) -> io::Result<()> + Send + Sync + 'static,
) -> (TempDir, JournalSettings, Journal) {
    let folder = TempDir::new().unwrap();
    let settings = JournalSettings { probe: Some(Arc::new(probe)), ..settings(folder.path()) };
    let (journal, _) = open(&settings);
    (folder, settings, journal)
}

/// What a start finds that comes now, after `kill -9`.
pub(crate) fn killed(settings: &JournalSettings) -> (TempDir, Journal, Recovered) {
    let copy = copy_of(&settings.folder);
    let (again, recovered) = reopen(copy.path(), settings);
    (copy, again, recovered)
}

/// Opens a journal in another folder, on a disk that is well.
pub(crate) fn reopen(folder: &Path, settings: &JournalSettings) -> (Journal, Recovered) {
    open(&JournalSettings { folder: folder.to_owned(), probe: None, ..settings.clone() })
}

/// Opens a journal by the system's clock.
pub(crate) fn open(settings: &JournalSettings) -> (Journal, Recovered) {
    Journal::open(settings, Arc::new(SystemClock)).unwrap()
}

/// Everything that is not acknowledged.
pub(crate) fn pending(journal: &Journal) -> Vec<JournalRecord> {
    let mut reader = journal.reader();
    let mut all = Vec::new();
    loop {
        let mut more = journal.read(&mut reader, 100).unwrap();
        if more.is_empty() {
            return all;
        }
        all.append(&mut more);
    }
}

/// The call of a record.
pub(crate) fn call_of(record: &JournalRecord) -> u128 {
    match record.record.as_ref().unwrap() {
        Record::Event(event) => u128::from_be_bytes(event.call_id.as_slice().try_into().unwrap()),
        Record::Call(call) => u128::from_be_bytes(call.call_id.as_slice().try_into().unwrap()),
    }
}
